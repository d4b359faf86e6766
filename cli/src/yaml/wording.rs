//! What the parser of YAML refuses, in words that tell the repair.

/// What a parser's message stands for: a part of it, what is wrong, what to do.
const WORDING: [(&str, &str, &str); 17] = [
    ("tab", "a tab where YAML takes only spaces", "indent with spaces"),
    (
        "mapping values are not allowed",
        "a `: ` where no key can be",
        "put the text in quotes, or indent the line as its neighbours are",
    ),
    (
        "mapping keys are not allowed",
        "a key where none can be",
        "begin a new line, indented as its neighbours are",
    ),
    (
        "expected ',' or",
        "the bracket is not closed, or a comma is missing",
        "close it, and put commas between its entries",
    ),
    (
        "did not find expected key",
        "this is no `key: value` of the object around it",
        "indent it as its neighbours are",
    ),
    (
        "simple key expected",
        "this is no `key: value` of the object around it",
        "write `key: value`, with a space behind the colon",
    ),
    (
        "expected '-' indicator",
        "this is no entry of the list around it",
        "begin it with `- `, indented as its neighbours are",
    ),
    ("is only valid inside a block", "a `- ` inside of brackets", "put commas between the entries"),
    ("block sequence entries", "a `- ` where no list can begin", "begin the list on a line of its own"),
    (
        "unknown anchor",
        "no anchor of this name stands before the alias",
        "define it above with `&name`, or write the value",
    ),
    (
        "escape",
        "an escape that double quotes do not have",
        "write `\\\\` for a backslash, or use single quotes",
    ),
    ("hexadecimal", "an escape without its digits", "write `\\\\` for a backslash, or use single quotes"),
    (
        "trailing content",
        "something stands behind the closing quote",
        "put all of it in quotes, `\\\"` for a quote inside",
    ),
    ("unexpected character", "a text without quotes cannot begin so", "put it in quotes"),
    (
        "illegal placement of ':'",
        "a `:` where none can be",
        "close the bracket before it, or put the text in quotes",
    ),
    ("misplaced bracket", "a closing bracket without an opening one", "take it out, or open it"),
    ("indentation", "indented otherwise than what is around it", "indent it as its neighbours are"),
];

/// What is wrong, and what to do.
pub(super) fn explained(message: &str) -> (&'static str, &'static str) {
    if message.contains("end of stream") || message.contains("unexpected eof") {
        return ("the file ends inside of a quote or bracket", "close it");
    }
    if message.contains("recursion limit") {
        return ("nested too deep", "a configuration needs ten levels");
    }
    let known = WORDING.iter().find(|(part, _, _)| message.contains(part));
    known.map_or(
        ("this is not YAML", "look at the quotes, brackets and indentation here"),
        |(_, what, repair)| (*what, *repair),
    )
}
