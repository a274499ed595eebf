//! Values of comma lists by a header's name, also of headers that the parser has no name for.

use sipyard_wire::{lexer, Field, HeaderName, Message, ParseError, Value};

/// All values of a header over its fields, in order. An unbalanced quote or bracket is an error.
pub fn values_by_name<'a>(message: &'a Message, name: &[u8]) -> Result<Vec<Value<'a>>, ParseError> {
    let id = HeaderName::from_bytes(name);
    if id != HeaderName::Other {
        return message.values(id).collect();
    }
    let mut values = Vec::new();
    for (position, field) in message.fields().enumerate() {
        if field.id == id && field.name.eq_ignore_ascii_case(name) {
            split(message, position, &field, &mut values)?;
        }
    }
    Ok(values)
}

fn split<'a>(
    message: &'a Message,
    position: usize,
    field: &Field<'_>,
    values: &mut Vec<Value<'a>>,
) -> Result<(), ParseError> {
    let data: &'a [u8] = message.bytes();
    let (first, end) = lexer::trim_range(data, field.value_start, field.value_end);
    let list = data.get(..end).unwrap_or_default();
    let mut lead = first;
    if first >= end {
        return Ok(());
    }
    loop {
        let has_left = lead > first;
        let begin = if has_left { lead + 1 } else { lead };
        let trail = lexer::skip_element(list, begin)?;
        let (start, stop) = lexer::trim_range(data, begin, trail);
        let text = data.get(start..stop).unwrap_or_default();
        values.push(Value { text, start, end: stop, field: position, lead, trail, has_left, has_right: trail < end });
        if trail >= end {
            return Ok(());
        }
        lead = trail;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use sipyard_wire::Limits;

    use super::*;

    #[test]
    fn lists_of_unknown_headers_are_taken_apart() {
        let text = "OPTIONS sip:a@b SIP/2.0\r\nX-One: a, \"b,c\" ,<d,e>\r\nX-Two: other\r\nx-one: f\r\nX-Three:\r\n\
                    Supported: path, outbound\r\n\r\n";
        let message = Message::parse(Bytes::from(text), &Limits::default()).unwrap();
        let texts = |name: &str| -> Vec<String> {
            let values = values_by_name(&message, name.as_bytes()).unwrap();
            values.iter().map(|value| String::from_utf8(value.text.to_vec()).unwrap()).collect()
        };
        assert_eq!(texts("X-ONE"), ["a", "\"b,c\"", "<d,e>", "f"]);
        assert_eq!(texts("X-Two"), ["other"]);
        assert!(texts("X-Three").is_empty() && texts("X-Four").is_empty());
        assert_eq!(texts("k"), ["path", "outbound"]);
    }
}
