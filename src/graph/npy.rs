//! Arrays of NumPy's npy format, versions 1 to 3: what the header says, and the bytes behind it.
//!
//! The header is a Python dict of three entries that NumPy itself writes (numpy.lib.format); anything else in it is refused.

/// A header and its data.
#[derive(Debug, PartialEq)]
pub(super) struct Npy<'a> {
    /// Byte order, kind and size of an element, such as `<f4`; none for a record.
    pub descr: Option<String>,
    pub is_column_major: bool,
    pub shape: Vec<usize>,
    pub data: &'a [u8],
}

/// What a header's text is made of.
#[derive(Debug, PartialEq)]
enum Token<'a> {
    Mark(char),
    Text(&'a str),
    Word(&'a str),
}

/// Reads a header.
///
/// # Errors
/// What is wrong, with the byte.
pub(super) fn parse(bytes: &[u8]) -> Result<Npy<'_>, String> {
    let Some(rest) = bytes.strip_prefix(b"\x93NUMPY") else { return Err("byte 0: an npy file begins with \\x93NUMPY".into()) };
    let (version, length, start) = match rest {
        [1, _, a, b, ..] => (1, u32::from_le_bytes([*a, *b, 0, 0]), 10),
        [version @ (2 | 3), _, a, b, c, d, ..] => (*version, u32::from_le_bytes([*a, *b, *c, *d]), 12),
        [version, ..] => return Err(format!("byte 6: version {version} is not known: 1 to 3 are, or the header is cut off")),
        [] => return Err("byte 6: the header is cut off".into()),
    };
    let end = usize::try_from(length).ok().and_then(|length| length.checked_add(start)).filter(|end| *end <= bytes.len());
    let Some(end) = end else { return Err(format!("byte 8: a header of {length} bytes in a file of {}", bytes.len())) };
    let text = std::str::from_utf8(&bytes[start..end]).map_err(|e| format!("byte {start}: the header of version {version} is no text: {e}"))?;
    let header = entries(text).map_err(|why| format!("byte {start}: {why}"))?;
    Ok(Npy { data: &bytes[end..], ..header })
}

fn tokens(text: &str) -> Result<Vec<Token<'_>>, String> {
    let mut tokens = vec![];
    let mut rest = text.trim();
    while let Some(first) = rest.chars().next() {
        let used = match first {
            '\'' | '"' => {
                let end = rest[1..].find(first).ok_or("a text without its end")?;
                tokens.push(Token::Text(&rest[1..=end]));
                end + 2
            }
            '{' | '}' | '(' | ')' | '[' | ']' | ',' | ':' => {
                tokens.push(Token::Mark(first));
                1
            }
            c if c.is_ascii_alphanumeric() => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
                tokens.push(Token::Word(&rest[..end]));
                end
            }
            other => return Err(format!("{other:?} stands in no header of NumPy's")),
        };
        rest = rest[used..].trim_start();
    }
    Ok(tokens)
}

/// The three entries, in any order.
fn entries(text: &str) -> Result<Npy<'static>, String> {
    use Token::{Mark, Text, Word};
    let tokens = tokens(text)?;
    let [Mark('{'), inner @ .., Mark('}')] = &tokens[..] else { return Err("the header is no dict".into()) };
    let (mut descr, mut order, mut shape) = (None, None, None);
    let mut rest = inner;
    while !rest.is_empty() {
        rest = match rest {
            [Text("descr"), Mark(':'), Text(own), after @ ..] => {
                descr = Some(Some(own.to_string()));
                after
            }
            // A record: a list of names and types.
            [Text("descr"), Mark(':'), Mark('['), after @ ..] => {
                descr = Some(None);
                let mut open = 1;
                let end = after.iter().position(|token| {
                    open += match token {
                        Mark('[') => 1,
                        Mark(']') => -1,
                        _ => 0,
                    };
                    open == 0
                });
                &after[end.ok_or("a record without its end")? + 1..]
            }
            [Text("fortran_order"), Mark(':'), Word(word @ ("True" | "False")), after @ ..] => {
                order = Some(*word == "True");
                after
            }
            [Text("shape"), Mark(':'), Mark('('), after @ ..] => {
                let end = after.iter().position(|token| *token == Mark(')')).ok_or("a shape without its end")?;
                let extents = after[..end].chunks(2).map(|pair| match pair {
                    [Word(extent)] | [Word(extent), Mark(',')] => extent.parse::<usize>().map_err(|_| format!("{extent} is no extent")),
                    _ => Err("a shape is a tuple of extents".to_string()),
                });
                shape = Some(extents.collect::<Result<Vec<usize>, String>>()?);
                &after[end + 1..]
            }
            [Text(name), ..] => return Err(format!("the entry {name} is none of descr, fortran_order and shape, or has another type")),
            _ => return Err("an entry begins with its name".into()),
        };
        rest = match rest {
            [Mark(','), after @ ..] => after,
            [] => rest,
            _ => return Err("entries stand apart by commas".into()),
        };
    }
    match (descr, order, shape) {
        (Some(descr), Some(is_column_major), Some(shape)) => Ok(Npy { descr, is_column_major, shape, data: &[] }),
        _ => Err("descr, fortran_order and shape stand in a header".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.bytes().chain([7, 9]));
        bytes
    }

    #[test]
    fn headers_as_numpy_writes_them_are_read() {
        for (shape, wanted) in [("()", vec![]), ("(3,)", vec![3]), ("(2, 3)", vec![2, 3]), ("(2, 0, 5)", vec![2, 0, 5])] {
            let bytes = file(&format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}          \n"));
            let Npy { descr, is_column_major, shape, data } = parse(&bytes).unwrap();
            assert_eq!((descr.as_deref(), is_column_major, shape, data), (Some("<f4"), false, wanted, &[7u8, 9][..]));
        }
        let record = file("{'descr': [('a', '<f4', (2,)), ('b', [('c', '|u1')])], 'fortran_order': True, 'shape': (1,)}");
        assert_eq!(parse(&record).unwrap(), Npy { descr: None, is_column_major: true, shape: vec![1], data: &[7, 9] });
    }

    #[test]
    fn broken_headers_are_refused_with_their_place() {
        for (header, why) in [
            ("", "byte 10: the header is no dict"),
            ("{'descr': '<f4', 'fortran_order': False}", "byte 10: descr, fortran_order and shape stand in a header"),
            ("{'descr': '<f4', 'fortran_order': 0, 'shape': ()}", "byte 10: the entry fortran_order is none of"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", "byte 10: '-' stands in no header"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", "byte 10: 99999999999999999999 is no extent"),
            ("{'descr': '<f4", "byte 10: a text without its end"),
            ("{'shape': (1", "byte 10: the header is no dict"),
            ("{'shape': (1}", "byte 10: a shape without its end"),
            ("{'x': 1}", "byte 10: the entry x is none of"),
        ] {
            let error = parse(&file(header)).unwrap_err();
            assert!(error.starts_with(why), "{header}: {error}");
        }
        assert!(parse(b"PK").unwrap_err().starts_with("byte 0"));
        assert!(parse(b"\x93NUMPY\x04\x00\x00\x00").unwrap_err().contains("version 4"));
        assert!(parse(b"\x93NUMPY\x01\x00\xff\xff{}").unwrap_err().contains("a header of 65535 bytes in a file of 12"));
    }
}
