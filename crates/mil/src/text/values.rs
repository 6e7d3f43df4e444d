//! Reads tokens, types and constants: what statements are made of.

use super::WeightSource;
use super::lex::{Lexer, Token};
use super::literal::{self, Format, HALF, SINGLE, shortened};
use crate::{Constant, ConstantError, DataType, Shape, TensorType, Type};
use half::f16;
use smallvec::SmallVec;
use std::borrow::Cow;

/// What is wrong, and the byte of the source at which it is.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) message: String,
}

pub(super) type Parsed<T> = Result<T, Fault>;

pub(super) fn fault<T>(at: usize, message: impl Into<String>) -> Parsed<T> {
    Err(Fault { at, message: message.into() })
}

/// Reads tokens one by one, one ahead.
pub(super) struct Reader<'s> {
    lexer: Lexer<'s>,
    pub(super) token: Token<'s>,
    /// Where `token` begins.
    pub(super) at: usize,
    weights: Option<&'s dyn WeightSource>,
}

impl<'s> Reader<'s> {
    pub(super) fn new(source: &'s str, weights: Option<&'s dyn WeightSource>) -> Parsed<Reader<'s>> {
        let mut reader = Reader { lexer: Lexer::new(source), token: Token::End, at: 0, weights };
        reader.advance()?;
        Ok(reader)
    }

    /// Steps over the current token and returns it.
    pub(super) fn advance(&mut self) -> Parsed<Token<'s>> {
        let (at, token) = self.lexer.next().map_err(|(at, message)| Fault { at, message })?;
        self.at = at;
        Ok(std::mem::replace(&mut self.token, token))
    }

    /// The token after the current one.
    pub(super) fn ahead(&self) -> Token<'s> {
        let mut lexer = self.lexer;
        lexer.next().map_or(Token::End, |(_, token)| token)
    }

    pub(super) fn expected<T>(&self, wanted: &str) -> Parsed<T> {
        let found = match self.token {
            Token::Word(text) | Token::Number(text) => format!("`{}`", shortened(text)),
            Token::Text(text) => format!("\"{}\"", shortened(text)),
            Token::Arrow => "`->`".to_string(),
            Token::Mark(mark) => format!("`{mark}`"),
            Token::End => "the end of the text".to_string(),
        };
        fault(self.at, format!("expected {wanted}, but found {found}"))
    }

    /// Steps over a mark if it comes next.
    pub(super) fn skip(&mut self, mark: char) -> Parsed<bool> {
        let found = self.token == Token::Mark(mark);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    pub(super) fn mark(&mut self, mark: char) -> Parsed<()> {
        if self.skip(mark)? { Ok(()) } else { self.expected(&format!("`{mark}`")) }
    }

    /// A mark, for which a sentence of what could stand there is more helpful.
    pub(super) fn mark_or(&mut self, mark: char, wanted: &str) -> Parsed<()> {
        if self.skip(mark)? { Ok(()) } else { self.expected(wanted) }
    }

    /// A certain word.
    pub(super) fn word(&mut self, word: &str) -> Parsed<()> {
        if self.token == Token::Word(word) {
            self.advance()?;
            return Ok(());
        }
        self.expected(&format!("`{word}`"))
    }

    /// Any name; `what` says whose.
    pub(super) fn name(&mut self, what: &str) -> Parsed<&'s str> {
        match self.token {
            Token::Word(name) => {
                self.advance()?;
                Ok(name)
            }
            _ => self.expected(what),
        }
    }

    /// A string in quotes.
    pub(super) fn text(&mut self) -> Parsed<Cow<'s, str>> {
        let Token::Text(raw) = self.token else { return self.expected("a string in quotes") };
        let text = literal::unescape(raw)
            .map_err(|(offset, message)| Fault { at: self.at + 1 + offset, message })?;
        self.advance()?;
        Ok(text)
    }

    /// Whether what comes next is a type with something after it that only types have: a written-out constant.
    pub(super) fn value_follows(&self) -> bool {
        matches!(self.token, Token::Word(_)) && matches!(self.ahead(), Token::Mark('(' | '<'))
    }

    /// Steps over `[…]` if it comes next, whatever is inside: attributes of functions, which tell what shapes may be bound.
    pub(super) fn skip_attributes(&mut self) -> Parsed<()> {
        let mut depth = usize::from(self.skip('[')?);
        while depth > 0 {
            match self.advance()? {
                Token::Mark('[') => depth += 1,
                Token::Mark(']') => depth -= 1,
                Token::End => return self.expected("`]`"),
                _ => {}
            }
        }
        Ok(())
    }

    /// A type: `tensor<fp16, [1, 2]>`, a bare scalar, `state<tensor<…>>`, `list<tensor<…>, 4>` or `dict<string, fp64>`.
    pub(super) fn ty(&mut self) -> Parsed<Type> {
        if self.token == Token::Word("list") {
            self.advance()?;
            self.mark('<')?;
            let element = self.tensor_type()?;
            self.mark(',')?;
            let length = Some(self.dimension()?).filter(|&length| length != crate::UNKNOWN);
            self.mark('>')?;
            return Ok(Type::List(crate::ListType { element, length }));
        }
        if self.token == Token::Word("dict") {
            self.advance()?;
            self.mark('<')?;
            let key = self.tensor_type()?;
            self.mark(',')?;
            self.word("fp64")?;
            self.mark('>')?;
            return Ok(Type::Dict(key));
        }
        if self.token == Token::Word("state") {
            self.advance()?;
            self.mark('<')?;
            let held = self.tensor_type()?;
            self.mark('>')?;
            return Ok(Type::State(held));
        }
        self.tensor_type().map(Type::Tensor)
    }

    pub(super) fn tensor_type(&mut self) -> Parsed<TensorType> {
        let start = self.at;
        if self.token != Token::Word("tensor") {
            return Ok(TensorType::scalar(self.element_type("a type")?));
        }
        self.advance()?;
        self.mark('<')?;
        let dtype = self.element_type("an element type")?;
        self.mark(',')?;
        let shape = self.shape()?;
        self.mark_or('>', "`>` after the shape")?;
        let ty = TensorType { dtype, shape };
        match ty.checked_bytes() {
            None if !ty.shape.is_known() => Ok(ty),
            Some(_) => Ok(ty),
            None => fault(start, format!("{ty} has more elements than memory can hold")),
        }
    }

    fn element_type(&mut self, what: &str) -> Parsed<DataType> {
        let Token::Word(name) = self.token else { return self.expected(what) };
        let Some(dtype) = DataType::from_name(name) else {
            let known = DataType::ALL.map(DataType::name).join(", ");
            let name = shortened(name);
            return fault(self.at, format!("`{name}` is no element type; there are {known}"));
        };
        self.advance()?;
        Ok(dtype)
    }

    fn shape(&mut self) -> Parsed<Shape> {
        self.mark_or('[', "a shape, `[…]`")?;
        let mut dims: SmallVec<[usize; 6]> = SmallVec::new();
        if !self.skip(']')? {
            loop {
                dims.push(self.dimension()?);
                if !self.skip(',')? {
                    break;
                }
            }
            self.mark_or(']', "`,` or `]` after a dimension")?;
        }
        Ok(dims.into_iter().collect())
    }

    fn dimension(&mut self) -> Parsed<usize> {
        let (at, wanted) = (self.at, "a dimension, which is a number");
        match self.token {
            Token::Number(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.advance()?;
                text.parse().or_else(|_| fault(at, format!("dimension {} is too large", shortened(text))))
            }
            Token::Mark('?') => {
                self.advance()?;
                Ok(crate::UNKNOWN)
            }
            _ => self.expected(wanted),
        }
    }

    /// A written-out constant: `tensor<int32, [2]>([1, 2])`, `bool(true)`, `tensor<…>(BLOBFILE(…))`.
    pub(super) fn constant(&mut self) -> Parsed<Constant> {
        let start = self.at;
        if self.token == Token::Word("state") {
            return fault(start, "a state cannot be written out; make it an input of the function");
        }
        let ty = self.tensor_type()?;
        if !ty.shape.is_known() {
            return fault(start, format!("a constant cannot be {ty}; every dimension must be a number"));
        }
        self.mark_or('(', "`(` and a value after the type")?;
        let constant =
            if self.token == Token::Word("BLOBFILE") { self.blob(&ty)? } else { self.elements(ty)? };
        self.mark_or(')', "`)` after the value")?;
        Ok(constant)
    }

    fn blob(&mut self, ty: &TensorType) -> Parsed<Constant> {
        let start = self.at;
        self.word("BLOBFILE")?;
        self.mark('(')?;
        self.word("path")?;
        self.mark('=')?;
        let path = self.wrapped("string", Reader::text)?;
        self.mark(',')?;
        self.word("offset")?;
        self.mark('=')?;
        let offset = self.wrapped("uint64", Reader::offset)?;
        self.mark(')')?;
        let Some(weights) = self.weights else {
            let path = shortened(&path);
            let message = format!("this constant is in the weight file {path:?}, but no weights were given");
            return fault(start, message);
        };
        let constant = weights
            .load(&path, offset, ty)
            .map_err(|error| Fault { at: start, message: error.to_string() })?;
        if constant.ty() == ty {
            return Ok(constant);
        }
        fault(start, format!("the weights gave a constant of type {}, not {ty}", constant.ty()))
    }

    /// `string(…)` or `tensor<string, []>(…)`.
    fn wrapped<T>(&mut self, dtype: &str, inside: impl Fn(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.token == Token::Word("tensor") {
            self.advance()?;
            self.mark('<')?;
            self.word(dtype)?;
            self.mark(',')?;
            self.mark('[')?;
            self.mark(']')?;
            self.mark('>')?;
        } else {
            self.word(dtype)?;
        }
        self.mark('(')?;
        let value = inside(self)?;
        self.mark(')')?;
        Ok(value)
    }

    fn offset(&mut self) -> Parsed<u64> {
        let at = self.at;
        match self.token {
            Token::Number(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.advance()?;
                text.parse().or_else(|_| fault(at, format!("offset {} is out of range", shortened(text))))
            }
            _ => self.expected("an offset in bytes"),
        }
    }

    fn elements(&mut self, ty: TensorType) -> Parsed<Constant> {
        let at = self.at;
        let TensorType { dtype, shape } = ty;
        let made: Result<Constant, ConstantError> = match dtype {
            DataType::Fp16 => Constant::new(shape.clone(), self.list(&shape, Reader::half)?),
            DataType::Fp32 => Constant::new(shape.clone(), self.list(&shape, Reader::single)?),
            DataType::Int8 => Constant::new(shape.clone(), self.list(&shape, Reader::integer::<i8>)?),
            DataType::Uint8 => Constant::new(shape.clone(), self.list(&shape, Reader::integer::<u8>)?),
            DataType::Int16 => Constant::new(shape.clone(), self.list(&shape, Reader::integer::<i16>)?),
            DataType::Uint16 => Constant::new(shape.clone(), self.list(&shape, Reader::integer::<u16>)?),
            DataType::Int32 => Constant::new(shape.clone(), self.list(&shape, Reader::integer::<i32>)?),
            DataType::Uint32 => Constant::new(shape.clone(), self.list(&shape, Reader::integer::<u32>)?),
            DataType::Int64 => Constant::new(shape.clone(), self.list(&shape, Reader::integer::<i64>)?),
            DataType::Bool => Constant::bools(shape.clone(), &self.list(&shape, Reader::truth)?),
            DataType::String => {
                let strings = self.list(&shape, |reader, _| reader.text().map(Cow::into_owned))?;
                Constant::strings(shape, strings)
            }
            DataType::Int4
            | DataType::Uint1
            | DataType::Uint2
            | DataType::Uint3
            | DataType::Uint4
            | DataType::Uint6 => {
                let small = self.list(&shape, Reader::integer::<i8>)?;
                let values: Vec<i64> = small.into_iter().map(i64::from).collect();
                Constant::packed(dtype, shape, &values)
            }
        };
        made.map_err(|error| Fault { at, message: error.to_string() })
    }

    /// The elements of a tensor: one literal for a scalar; otherwise a list, nested as the shape or flat.
    /// Memory is taken as elements are read, never because a shape asks for it.
    fn list<T>(
        &mut self,
        shape: &Shape,
        element: impl Fn(&mut Self, DataTypeOf<T>) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        let of = DataTypeOf::default();
        if shape.is_empty() {
            return match self.token {
                Token::Mark('[') => fault(self.at, "a scalar is written without brackets"),
                _ => Ok(vec![element(self, of)?]),
            };
        }
        let mut list = List { shape, counts: SmallVec::new(), flat: false };
        let mut elements = Vec::new();
        loop {
            list.open(self)?;
            let mut more = !self.closes_empty(&list)?;
            if more {
                list.before_element(self.at, elements.len())?;
                elements.push(element(self, of)?);
                more = self.skip(',')?;
            }
            while !more {
                let at = self.at;
                self.mark_or(']', "`,` or `]` after an element")?;
                if list.close(at, elements.len())? {
                    return Ok(elements);
                }
                more = self.skip(',')?;
            }
        }
    }

    /// Whether an empty list ends here. It is legal only where a dimension is 0, which `close` finds out.
    fn closes_empty(&self, list: &List<'_>) -> Parsed<bool> {
        Ok(self.token == Token::Mark(']') && list.counts.last() == Some(&0))
    }

    /// The text of a number, or of the words `inf` and `nan` that stand for some.
    fn number(&mut self, what: &str) -> Parsed<(usize, &'s str)> {
        let at = self.at;
        match self.token {
            Token::Number(text) | Token::Word(text @ ("inf" | "infinity" | "nan")) => {
                self.advance()?;
                Ok((at, text))
            }
            _ => self.expected(what),
        }
    }

    fn float(&mut self, format: Format) -> Parsed<u32> {
        let (mut at, text) = self.number("a number")?;
        let bits = if text.ends_with("nan") && self.skip('(')? {
            let fraction;
            (at, fraction) = self.number("the fraction of the nan, as 0x1")?;
            self.mark(')')?;
            let digits = fraction.strip_prefix("0x").and_then(|digits| u32::from_str_radix(digits, 16).ok());
            match digits {
                Some(fraction) => format.nan(text.starts_with('-'), Some(fraction)),
                None => return fault(at, "the fraction of a nan is a hexadecimal number, as in nan(0x1)"),
            }
        } else {
            format.parse(text)
        };
        bits.map_err(|message| Fault { at, message })
    }

    fn half(&mut self, _: DataTypeOf<f16>) -> Parsed<f16> {
        Ok(f16::from_bits(self.float(HALF)? as u16))
    }

    fn single(&mut self, _: DataTypeOf<f32>) -> Parsed<f32> {
        Ok(f32::from_bits(self.float(SINGLE)?))
    }

    fn integer<T: TryFrom<i64> + crate::Element>(&mut self, _: DataTypeOf<T>) -> Parsed<T> {
        let (at, text) = self.number("an integer")?;
        literal::parse_integer(text, T::DTYPE.name()).map_err(|message| Fault { at, message })
    }

    fn truth(&mut self, _: DataTypeOf<bool>) -> Parsed<bool> {
        let value = match self.token {
            Token::Word("true") => true,
            Token::Word("false") => false,
            _ => return self.expected("`true` or `false`"),
        };
        self.advance()?;
        Ok(value)
    }
}

/// The brackets that are open while a list is read, outermost first, with the items that each holds so far.
struct List<'a> {
    shape: &'a Shape,
    counts: SmallVec<[usize; 6]>,
    /// All elements stand in the outermost brackets.
    flat: bool,
}

impl List<'_> {
    /// Reads the brackets that open here.
    fn open(&mut self, reader: &mut Reader<'_>) -> Parsed<()> {
        let first = self.counts.is_empty();
        if first && reader.token != Token::Mark('[') {
            return reader.expected(&format!("`[` and the elements of a tensor of shape {}", self.shape));
        }
        while reader.token == Token::Mark('[') {
            if self.counts.len() == self.shape.rank() || self.flat {
                return fault(reader.at, format!("the brackets nest deeper than the shape {}", self.shape));
            }
            self.item(reader.at)?;
            self.counts.push(0);
            reader.advance()?;
        }
        Ok(())
    }

    /// Counts one more item of the innermost list.
    fn item(&mut self, at: usize) -> Parsed<()> {
        let depth = self.counts.len();
        let Some(count) = self.counts.last_mut() else { return Ok(()) };
        *count += 1;
        let allowed = if self.flat { self.shape.count() } else { self.shape[depth - 1] };
        if *count > allowed {
            return fault(at, format!("there are more elements here than the shape {} has", self.shape));
        }
        Ok(())
    }

    fn before_element(&mut self, at: usize, before: usize) -> Parsed<()> {
        if self.counts.len() == 1 && self.shape.rank() > 1 && before == 0 && self.counts[0] == 0 {
            self.flat = true;
        }
        if !self.flat && self.counts.len() != self.shape.rank() {
            return fault(
                at,
                format!("an element stands where a list is needed, as the shape is {}", self.shape),
            );
        }
        self.item(at)
    }

    /// Closes the innermost list; says whether that was the outermost.
    fn close(&mut self, at: usize, elements: usize) -> Parsed<bool> {
        let depth = self.counts.len();
        let count = self.counts.pop().unwrap_or(0);
        let empty = depth == 1 && elements == 0 && count == 0 && self.shape.count() == 0;
        let wanted = if self.flat { self.shape.count() } else { self.shape[depth - 1] };
        if count != wanted && !empty {
            let shape = self.shape;
            return fault(
                at,
                format!("this list has {count} elements, but the shape {shape} asks for {wanted}"),
            );
        }
        Ok(depth == 1)
    }
}

/// Tells the element readers apart by what they read.
type DataTypeOf<T> = std::marker::PhantomData<T>;
