//! Conversions between element types, lane to lane.
//!
//! Floats become integers towards zero, held within the type's range (`NaN` becomes 0). Integers wrap into narrower
//! types. Anything but zero is `true`. (Rounding to `fp16` is not done here: it follows every instruction of that type.)

use super::{Attributes, Unary};

macro_rules! casts {
    ($($name:ident: |$x:ident| $y:expr;)*) => {$(
        pub(super) struct $name;
        impl Unary for $name {
            #[inline(always)]
            fn at($x: u32, _: Attributes) -> u32 {
                $y
            }
        }
    )*};
}

casts! {
    FloatToInt8: |x| clamp(x, -128.0, 127.0);
    FloatToUint8: |x| clamp(x, 0.0, 255.0);
    FloatToInt16: |x| clamp(x, -32768.0, 32767.0);
    FloatToUint16: |x| clamp(x, 0.0, 65535.0);
    FloatToInt32: |x| f32::from_bits(x) as i32 as u32;
    FloatToUint32: |x| f32::from_bits(x) as u32;
    FloatToBool: |x| u32::from(f32::from_bits(x) != 0.0);
    IntToFloat: |x| (x as i32 as f32).to_bits();
    UintToFloat: |x| (x as f32).to_bits();
    IntToInt8: |x| x as i8 as i32 as u32;
    IntToUint8: |x| x as u8 as u32;
    IntToInt16: |x| x as i16 as i32 as u32;
    IntToUint16: |x| x as u16 as u32;
    IntToBool: |x| u32::from(x != 0);
}

#[inline(always)]
fn clamp(x: u32, low: f32, high: f32) -> u32 {
    let x = f32::from_bits(x);
    let x = if x > high { high } else { x };
    let x = if x < low { low } else { x };
    x as i32 as u32
}
