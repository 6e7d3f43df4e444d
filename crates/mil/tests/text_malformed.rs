//! Malformed texts: each gives an error at the right place that says what is wrong.

use mil::text::{ParseError, parse};

/// The error of a text, of which `¦` marks the place where it must be reported.
fn error(marked: &str) -> ParseError {
    let at = marked.find('¦').unwrap_or_else(|| panic!("no mark in {marked}"));
    let source = marked.replace('¦', "");
    let error = parse(&source).map(|program| program.to_string()).expect_err(&source);
    let before = &source[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    assert_eq!((error.line, error.column), (line, column), "{error}\nof {source}");
    assert_eq!(error.excerpt.chars().nth(error.caret), source[at..].chars().next().filter(|&c| c != '\n'));
    error
}

#[track_caller]
fn check(marked: &str, expected: &str) {
    let error = error(marked);
    assert!(error.message.contains(expected), "expected {expected:?} in: {error}");
}

/// A statement in a function of `ios18` with some inputs.
#[track_caller]
fn check_statement(statement: &str, expected: &str) {
    let head = "program(1.3)\n{ func main<ios18>(tensor<fp32, [2, 3]> x, tensor<fp32, [3]> v, \
                tensor<int32, [2]> i, state<tensor<fp16, [4]>> s) {\n";
    check(&format!("{head}    {statement}\n}} -> (x); }}"), expected);
}

#[test]
fn programs() {
    for (text, expected) in [
        ("¦", "expected `program`, but found the end of the text"),
        ("¦prog(1.3) {}", "expected `program`, but found `prog`"),
        ("program¦ 1.3 {}", "expected `(`, but found `1.3`"),
        ("program(¦2.0) {}", "version 2.0 is not known"),
        ("program(¦1.x) {}", "version 1.x is not known"),
        ("program(¦\"1.3\") {}", "expected a version such as 1.3"),
        ("program(1.3¦ {}", "expected `)`"),
        ("program(1.3) ¦", "expected `{`, but found the end of the text"),
        ("program(1.3) [¦build = 1] {}", "expected `buildInfo`, but found `build`"),
        (
            "program(1.3) [buildInfo = dict<string, ¦int32>({})] {}",
            "buildInfo holds strings, not tensor<int32, []>",
        ),
        ("program(1.3) [buildInfo = dict<string, string>(¦[])] {}", "expected `{`"),
        ("program(1.3) [buildInfo = dict<string, string>({¦\"a\"})] {}", "expected a pair"),
        ("program(1.3) [buildInfo = dict<string, string>({{\"a\", ¦1}})] {}", "expected a string in quotes"),
        ("program(1.3) [buildInfo = dict<string, string>({{\"a\", ¦\"b}})] {}", "does not end on its line"),
        ("program(1.3) { ¦", "expected `func` or `}`, but found the end of the text"),
        ("program(1.3) { ¦fn f() {} }", "expected `func` or `}`, but found `fn`"),
        ("program(1.3) {} ¦func", "expected the end of the text after the program"),
        ("program(1.3) { ¦ünï }", "but found `ü`"),
        (
            "program(1.3) { func f<ios18>() {} -> (); ¦func f<ios18>() {} -> (); }",
            "there is a function `f` already",
        ),
    ] {
        check(&text.replace("¦ 1.3", " ¦1.3").replace("1.3¦ {}", "1.3 ¦{}"), expected);
    }
}

#[test]
fn functions() {
    for (text, expected) in [
        ("func ¦<ios18>() {} -> ();", "expected the function's name"),
        ("func f¦() {} -> ();", "expected `<`"),
        ("func f<¦ios99>() {} -> ();", "`ios99` is no opset that is known here; there are ios15, ios16"),
        ("func f<ios18>(¦x) {} -> ();", "`x` is no element type; there are fp16, fp32"),
        ("func f<ios18>(tensor<fp16, [?, 2]> x) {} -> (¦y);", "`y` is not defined above"),
        ("func f<ios18>(tensor<fp16, [¦-1]> x) {} -> (x);", "expected a dimension, which is a number"),
        ("func f<ios18>(tensor<fp16, [¦1.5]> x) {} -> (x);", "expected a dimension, which is a number"),
        ("func f<ios18>(tensor<fp16, [¦99999999999999999999]> x) {} -> (x);", "is too large"),
        (
            "func f<ios18>(¦tensor<fp16, [4611686018427387904, 4]> x) {} -> (x);",
            "has more elements than memory can hold",
        ),
        ("func f<ios18>(tensor<¦fp17, [1]> x) {} -> (x);", "`fp17` is no element type"),
        ("func f<ios18>(tensor<fp16¦> x) {} -> (x);", "expected `,`"),
        ("func f<ios18>(tensor<fp16, ¦1> x) {} -> (x);", "expected a shape"),
        ("func f<ios18>(tensor<fp16, [1 ¦2]> x) {} -> (x);", "expected `,` or `]` after a dimension"),
        ("func f<ios18>(tensor<fp16, [1]¦) {} -> (x);", "expected `>` after the shape"),
        ("func f<ios18>(tensor<fp16, [1]> ¦1) {} -> (x);", "expected the input's name"),
        ("func f<ios18>(state<¦state<tensor<fp16, [1]>>> x) {} -> (x);", "`state` is no element type"),
        ("func f<ios18>(fp32 x ¦fp32 y) {} -> (x);", "expected `,` or `)` after an input"),
        ("func f<ios18>(fp32 x, fp32 ¦x) {} -> (x);", "`x` is defined already"),
        ("func f<ios18>(fp32 x) [Flexible = ((1, [2]))] {} -> (¦y);", "`y` is not defined above"),
        ("func f<ios18>(fp32 x) {} ¦(x);", "expected `-> (…)`, the outputs, but found `(`"),
        ("func f<ios18>(fp32 x) {} -> (¦y);", "`y` is not defined above"),
        ("func f<ios18>(fp32 x) {} -> (x)¦ ", "expected `;`"),
    ] {
        let text = if text.ends_with("¦ ") { text.replace("¦ ", " ¦") } else { text.to_string() };
        check(&format!("program(1.3) {{ {text}}}"), expected);
    }
    check(
        "program(1.3) { func f<ios18>(fp32 x) [Flexible = [1¦",
        "expected `]`, but found the end of the text",
    );
    check("program(1.3) { func f<ios18>(fp32 x) ¦] { } -> (x); }", "expected `{`, but found `]`");
}

#[test]
fn statements() {
    for (statement, expected) in [
        ("tensor<fp32, [2, 3]> y = ¦sofmax(x = x);", "there is no op `sofmax`; did you mean `softmax`?"),
        ("tensor<fp32, [2, 3]> y = ¦qqqqqqqqqqqqqqqq(x = x);", "there is no op `qqqqqqqqqqqqqqqq`"),
        ("tensor<fp32, [2, 3]> y = relu(¦z = x);", "op `relu` has no parameter `z`; it has: x"),
        ("tensor<fp32, [2, 3]> y = relu(x = x, ¦x = x);", "`x` is given twice"),
        ("tensor<fp32, [2, 3]> y = ¦relu();", "parameter `x` is missing"),
        ("tensor<fp32, [2, 3]> y = relu(x = ¦w);", "`w` is not defined above"),
        ("tensor<fp32, [2, 3]> y = relu(x = ¦y);", "`y` is not defined above"),
        ("tensor<fp32, [2, 3]> y = relu(¦x = i);", "has element type int32, but in ios18 must have one of"),
        ("tensor<fp32, [2, 3]> y = relu(¦x = s);", "must be a tensor, but is state<tensor<fp16, [4]>>"),
        ("tensor<fp32, [2, 3]> y = relu(¦x = (x, x));", "takes one value, but a tuple was given"),
        (
            "tensor<fp32, [3, 2]> ¦y = relu(x = x);",
            "`y` is declared tensor<fp32, [3, 2]>, but `relu` gives tensor<fp32, [2, 3]>",
        ),
        ("tensor<fp32, [2, 3]> ¦x = relu(x = x);", "`x` is defined already"),
        ("¦relu(x = x);", "op `relu` gives 1 results here, but 0 are named"),
        ("fp32 a, fp32 b = ¦relu(x = x);", "op `relu` gives 1 results here, but 2 are named"),
        (
            "tensor<fp32, [2, 3]> y = add(x = x, ¦y = i);",
            "is int32, but must have the element type of `x`, fp32",
        ),
        (
            "tensor<fp32, [2, 3]> y = add(x = x, ¦y = fp16(1));",
            "is fp16, but must have the element type of `x`",
        ),
        ("tensor<fp32, [2, 3]> y = add(x = v, ¦y = tensor<fp32, [2]>([1, 2]));", "does not broadcast"),
        ("tensor<fp32, [2, 3]> y = add(x = x, y = ¦1.5);", "a number here needs its type"),
        ("tensor<fp32, [2, 3]> y = add(x = x, y = ¦true);", "write bool(true) or bool(false)"),
        (
            "tensor<fp32, [2, 3]> y = add(x = x, y = ¦state<tensor<fp32, [1]>>());",
            "a state cannot be written out",
        ),
        ("tensor<fp16, [2, 3]> y = cast(x = x, dtype = ¦\"fp16\");", "a string here needs its type"),
        (
            "tensor<fp16, [2, 3]> y = cast(x = x, ¦dtype = string(\"fp99\"));",
            "is \"fp99\", but must be one of",
        ),
        ("tensor<fp32, [2, 3]> y = clip(x = x, ¦alpha = v, beta = fp32(1));", "must be a constant"),
        ("tensor<fp32, [2, 3]> y ¦relu(x = x);", "expected `,` or `=` after the result, but found `relu`"),
        ("tensor<fp32, [2, 3]> ¦= relu(x = x);", "expected the name of the result"),
        ("tensor<fp32, [2, 3]> y = relu¦;", "expected `(`"),
        ("tensor<fp32, [2, 3]> y = relu(x ¦x);", "expected `=`"),
        ("tensor<fp32, [2, 3]> y = relu(x = x¦;", "expected `,` or `)` after an argument"),
        ("tensor<fp32, [2, 3]> y = relu(x = x)[name = ¦\"y\"];", "expected a type, but found \"y\""),
        ("tensor<fp32, [2, 3]> y = relu(x = x)[name = ¦int32(1)];", "the name must be one string"),
        ("tensor<fp32, [2, 3]> y = relu(x = x)[¦color = string(\"red\")];", "has no parameter `color`"),
        (
            "tensor<fp32, [2, 3]> y = relu(x = x)[name = string(\"y\")¦;",
            "expected `,` or `]` after an attribute",
        ),
        ("tensor<fp32, [2, 3]> y = relu(x = x)\n¦}", "expected `;` after the statement"),
        ("¦@", "expected a type, but found `@`"),
        ("tensor<fp16, [4]> t = read_state(¦input = x);", "must be a state, but is tensor<fp32, [2, 3]>"),
        ("¦write_state(input = s);", "`write_state` needs input and data"),
        ("write_state(¦state = s, data = x);", "`write_state` has the parameters input and data"),
        (
            "write_state(input = s, ¦data = x);",
            "is tensor<fp32, [2, 3]>, but the state holds tensor<fp16, [4]>",
        ),
        ("write_state(input = s, data = x¦;", "expected `,` or `)` after an argument"),
        ("write_state(input = s, ¦input = s);", "this parameter is given twice"),
        ("fp32 y = ¦write_state(input = s, data = s);", "`write_state` has no result"),
    ] {
        check_statement(statement, expected);
    }
}

#[test]
fn ops_of_a_later_opset() {
    let text = "program(1.0) { func f<ios16>(state<fp16> s) { fp16 x = ¦read_state(input = s); } -> (x); }";
    check(text, "op `read_state` needs opset ios18, but the function is ios16");
}

#[test]
fn constants() {
    for (value, expected) in [
        ("int8 c = const()[val = int8(¦300)];", "300 is out of range for int8"),
        ("int8 c = const()[val = int8(¦-129)];", "-129 is out of range for int8"),
        ("uint8 c = const()[val = uint8(¦-1)];", "-1 is out of range for uint8"),
        ("int32 c = const()[val = int32(¦2147483648)];", "out of range for int32"),
        ("int32 c = const()[val = int32(¦99999999999999999999999)];", "out of range for int32"),
        ("int32 c = const()[val = int32(¦1.0)];", "`1.0` is not an integer, as int32 needs"),
        ("int32 c = const()[val = int32(¦0x10)];", "`0x10` is not an integer"),
        ("int32 c = const()[val = int32(¦nan)];", "`nan` is not an integer"),
        ("int32 c = const()[val = int32(¦true)];", "expected an integer, but found `true`"),
        ("bool c = const()[val = bool(¦1)];", "expected `true` or `false`, but found `1`"),
        ("fp16 c = const()[val = fp16(¦65520)];", "65520 is more than fp16 can hold; write inf"),
        ("fp16 c = const()[val = fp16(¦0x1p16)];", "more than fp16 can hold"),
        ("fp32 c = const()[val = fp32(¦1e39)];", "more than fp32 can hold"),
        ("fp32 c = const()[val = fp32(¦1e)];", "`1e` is not a number"),
        ("fp32 c = const()[val = fp32(¦0x1.8)];", "`0x1.8` is not a number"),
        ("fp32 c = const()[val = fp32(¦0xp1)];", "`0xp1` is not a number"),
        ("fp32 c = const()[val = fp32(¦1.2.3)];", "`1.2.3` is not a number"),
        ("fp32 c = const()[val = fp32(¦.5)];", "expected a number, but found `.`"),
        ("fp32 c = const()[val = fp32(¦- 5)];", "expected a number, but found `-`"),
        ("fp32 c = const()[val = fp32(¦--5)];", "expected a number, but found `-`"),
        ("fp16 c = const()[val = fp16(nan(¦0x400))];", "the fraction of a fp16 nan is 0x1 to 0x3ff"),
        ("fp16 c = const()[val = fp16(nan(¦12))];", "is a hexadecimal number"),
        ("string c = const()[val = string(¦fp16)];", "expected a string in quotes, but found `fp16`"),
        ("string c = const()[val = string(\"a¦\\q\")];", "`\\q` is no escape"),
        ("string c = const()[val = string(¦\"a)];", "this string does not end on its line"),
        ("fp32 c = const()[val = fp32(¦)];", "expected a number, but found `)`"),
        ("fp32 c = const()[val = fp32(1¦, 2)];", "expected `)` after the value"),
        ("fp32 c = const()[val = fp32(¦[1])];", "a scalar is written without brackets"),
        ("fp32 c = const()[val = fp32 ¦1];", "expected `(` and a value after the type"),
        (
            "fp32 c = const()[¦val = int32(1)];",
            "`c` is declared tensor<fp32, []>, but its value is tensor<int32, []>",
        ),
        ("fp32 c = const()[val = fp32(1), ¦val = fp32(1)];", "`val` is given twice"),
        ("fp32 c = ¦const()[name = string(\"c\")];", "a const needs the attribute `val`"),
        ("fp32 c = ¦const();", "a const needs the attribute `val`"),
        ("fp32 c = const(¦val = fp32(1));", "the value of a const is its attribute `val`"),
        ("fp32 c, fp32 d = ¦const()[val = fp32(1)];", "`const` has one result"),
        ("¦const()[val = fp32(1)];", "`const` has one result"),
        (
            "tensor<fp32, [2]> c = const()[val = tensor<fp32, [2]>(¦1)];",
            "expected `[` and the elements of a tensor of shape [2]",
        ),
        (
            "tensor<fp32, [2]> c = const()[val = tensor<fp32, [2]>([1¦])];",
            "this list has 1 elements, but the shape [2] asks for 2",
        ),
        (
            "tensor<fp32, [2]> c = const()[val = tensor<fp32, [2]>([1, 2, ¦3])];",
            "more elements here than the shape [2] has",
        ),
        (
            "tensor<fp32, [2]> c = const()[val = tensor<fp32, [2]>([1 ¦2])];",
            "expected `,` or `]` after an element",
        ),
        (
            "tensor<fp32, [2]> c = const()[val = tensor<fp32, [2]>([1, ¦])];",
            "expected a number, but found `]`",
        ),
        (
            "tensor<fp32, [2]> c = const()[val = tensor<fp32, [2]>([¦[1, 2]])];",
            "nest deeper than the shape [2]",
        ),
        (
            "tensor<fp32, [2]> c = const()[val = tensor<fp32, [2]>([¦])];",
            "this list has 0 elements, but the shape [2] asks for 2",
        ),
        (
            "tensor<fp32, [2, 2]> c = const()[val = tensor<fp32, [2, 2]>([[1, 2], ¦3])];",
            "an element stands where a list is needed",
        ),
        ("tensor<fp32, [2, 2]> c = const()[val = tensor<fp32, [2, 2]>([1, ¦[2, 3]])];", "nest deeper"),
        (
            "tensor<fp32, [2, 2]> c = const()[val = tensor<fp32, [2, 2]>([[1, 2]¦])];",
            "this list has 1 elements, but the shape [2, 2] asks for 2",
        ),
        (
            "tensor<fp32, [2, 2]> c = const()[val = tensor<fp32, [2, 2]>([1, 2, 3¦])];",
            "this list has 3 elements, but the shape [2, 2] asks for 4",
        ),
        ("tensor<fp32, [2, 2]> c = const()[val = tensor<fp32, [2, 2]>([[], [¦]])];", ""),
        (
            "tensor<fp32, [1099511627776]> c = const()[val = tensor<fp32, [1099511627776]>([1, 2, 3¦])];",
            "this list has 3 elements, but the shape [1099511627776] asks for 1099511627776",
        ),
        (
            "fp32 c = const()[val = fp32(¦BLOBFILE(path = string(\"w.bin\"), offset = uint64(64)))];",
            "is in the weight file \"w.bin\", but no weights were given",
        ),
        ("fp32 c = const()[val = fp32(BLOBFILE(¦file = string(\"w.bin\")))];", "expected `path`"),
        (
            "fp32 c = const()[val = fp32(BLOBFILE(path = ¦\"w.bin\", offset = uint64(64)))];",
            "expected `string`",
        ),
        (
            "fp32 c = const()[val = fp32(BLOBFILE(path = string(\"w\"), offset = ¦int32(1)))];",
            "expected `uint64`",
        ),
        (
            "fp32 c = const()[val = fp32(BLOBFILE(path = string(\"w\"), offset = uint64(¦-1)))];",
            "expected an offset",
        ),
        (
            "fp32 c = const()[val = fp32(BLOBFILE(path = string(\"w\"), offset = uint64(¦99999999999999999999)))];",
            "is out of range",
        ),
    ] {
        let value = value.replace("([[], [¦]])", "([[¦], []])");
        check_statement(&value, expected);
    }
}

#[test]
fn the_message_shows_the_line() {
    let text = "program(1.3)\n{\n    func f<ios18>(fp32 x) {\n\tfp32 y = ¦relo(x = x);\n    } -> (y);\n}\n";
    assert_eq!(
        error(text).to_string(),
        "line 4, column 11: there is no op `relo`; did you mean `relu`?\n \
         4 |  fp32 y = relo(x = x);\n   \
         |           ^"
    );
}

#[test]
fn long_lines_are_cut_around_the_place() {
    let inputs: String = (0..1000).map(|index| format!("fp32 x{index}, ")).collect();
    let text = format!("program(1.3) {{ func f<ios18>({inputs}fp32 ¦x7) {{}} -> (x0); }}");
    let error = error(&text);
    assert_eq!(error.message, "`x7` is defined already; give each value its own name");
    assert!(error.excerpt.chars().count() <= 120);
}

#[test]
fn names_in_messages_are_cut() {
    let name = "a".repeat(100_000);
    let text = format!("program(1.3) {{ func f<ios18>(fp32 x) {{ fp32 y = ¦{name}(x = x); }} -> (y); }}");
    assert!(error(&text).message.len() < 100);
}
