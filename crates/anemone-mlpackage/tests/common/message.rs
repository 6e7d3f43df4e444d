//! Protobuf messages put together by hand, so that they can be wrong.

/// A message being put together.
#[derive(Clone, Default)]
pub(crate) struct Message(pub(crate) Vec<u8>);

pub(crate) fn message() -> Message {
    Message::default()
}

impl Message {
    pub(crate) fn put(mut self, mut value: u64) -> Message {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    pub(crate) fn int(self, number: u64, value: i64) -> Message {
        self.put(number << 3).put(value as u64)
    }

    pub(crate) fn bytes(self, number: u64, bytes: impl AsRef<[u8]>) -> Message {
        let bytes = bytes.as_ref();
        let mut message = self.put(number << 3 | 2).put(bytes.len() as u64);
        message.0.extend_from_slice(bytes);
        message
    }

    pub(crate) fn nest(self, number: u64, inner: Message) -> Message {
        self.bytes(number, inner.0)
    }

    /// A map entry.
    pub(crate) fn entry(self, number: u64, key: &str, value: Message) -> Message {
        self.nest(number, message().bytes(1, key).nest(2, value))
    }

    /// A field whose length is a lie.
    pub(crate) fn claims(self, number: u64, len: u64, bytes: &[u8]) -> Message {
        let mut message = self.put(number << 3 | 2).put(len);
        message.0.extend_from_slice(bytes);
        message
    }

    pub(crate) fn then(mut self, other: Message) -> Message {
        self.0.extend(other.0);
        self
    }
}

/// `ValueType` of a tensor.
pub(crate) fn tensor(dtype: i64, dims: &[u64]) -> Message {
    let mut ty = message().int(1, dtype).int(2, dims.len() as i64);
    for &dim in dims {
        ty = ty.nest(3, message().nest(1, message().int(1, dim as i64)));
    }
    message().nest(1, ty)
}

pub(crate) const BOOL: i64 = 1;
pub(crate) const STRING: i64 = 2;
pub(crate) const FP16: i64 = 10;
pub(crate) const FP32: i64 = 11;
pub(crate) const INT32: i64 = 23;

pub(crate) fn named(name: &str, ty: Message) -> Message {
    message().bytes(1, name).nest(2, ty)
}

/// `Value` written in place; `list` is a field of `TensorValue`.
pub(crate) fn value(ty: Message, list: u64, elements: Message) -> Message {
    message().nest(2, ty).nest(3, message().nest(1, message().nest(list, elements)))
}

pub(crate) fn text(text: &str) -> Message {
    value(tensor(STRING, &[]), 4, message().bytes(1, text))
}

/// `Value` in a weight file.
pub(crate) fn blob(ty: Message, path: &str, offset: u64) -> Message {
    message().nest(2, ty).nest(5, message().bytes(1, path).int(2, offset as i64))
}

/// A `const` operation.
pub(crate) fn constant(name: &str, ty: Message, value: Message) -> Message {
    message().bytes(1, "const").nest(3, named(name, ty)).entry(5, "name", text(name)).entry(5, "val", value)
}

/// An `Argument` of one name.
pub(crate) fn name(name: &str) -> Message {
    message().nest(1, message().bytes(1, name))
}

/// `y = relu(x)`, both `fp32 [1, 4]`.
pub(crate) fn relu(x: &str, y: &str) -> Message {
    message().bytes(1, "relu").entry(2, "x", name(x)).nest(3, named(y, tensor(FP32, &[1, 4]))).entry(
        5,
        "name",
        text(y),
    )
}

/// A block of operations, with outputs.
pub(crate) fn block(operations: &[Message], outputs: &[&str]) -> Message {
    let mut block = message();
    for output in outputs {
        block = block.bytes(2, output);
    }
    for operation in operations {
        block = block.nest(3, operation.clone());
    }
    block
}

pub(crate) fn function(block: Message) -> Message {
    message().nest(1, named("x", tensor(FP32, &[1, 4]))).bytes(2, "CoreML6").entry(3, "CoreML6", block)
}

pub(crate) fn program(function: Message) -> Message {
    message().int(1, 1).entry(2, "main", function)
}

/// A `FeatureDescription` of an `fp32` array.
pub(crate) fn feature(name: &str) -> Message {
    let array = message().bytes(1, [1, 4]).int(2, 65_568);
    message().bytes(1, name).nest(3, message().nest(5, array))
}

pub(crate) fn description() -> Message {
    message().nest(1, feature("x")).nest(10, feature("y"))
}

pub(crate) fn model(description: Message, program: Message) -> Vec<u8> {
    message().int(1, 7).nest(2, description).nest(502, program).0
}

/// A model of one block; it is sound when the block is.
pub(crate) fn of_block(block: Message) -> Vec<u8> {
    model(description(), program(function(block)))
}

/// A model of these operations before `y = relu(x)`.
pub(crate) fn with(operations: &[Message]) -> Vec<u8> {
    let mut all = operations.to_vec();
    all.push(relu("x", "y"));
    of_block(block(&all, &["y"]))
}
