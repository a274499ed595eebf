//! Max-Breadth: RFC 5393 §5. A forked request shares its breadth among its branches, so that forks of forks stay few.

use sipyard_wire::Message;

use crate::event::{Branch, RelayError};

const NAME: &[u8] = b"Max-Breadth";

/// Shares the breadth of a request among branches that are tried at once.
///
/// # Errors
/// There is less than one for each.
pub fn share(message: &Message, branches: &mut [Branch], default: u32) -> Result<(), RelayError> {
    if default == 0 {
        return Ok(());
    }
    let field = message.by_name(NAME).next();
    let stated = field.map(|field| std::str::from_utf8(field.value).ok().and_then(|text| text.parse().ok()));
    // A value that is none counts as absent: the header is not ours to judge.
    let breadth: u32 = stated.flatten().unwrap_or(default);
    let count = branches.len() as u32;
    if breadth < count {
        return Err(RelayError::Breadth);
    }
    let (each, rest) = (breadth / count, breadth % count);
    for (index, branch) in (0..count).zip(branches) {
        let part = each + u32::from(index < rest);
        let edits = &mut branch.outgoing.edits;
        match field {
            Some(field) => edits.replace(field.value_start, field.value_end, part.to_string().into()),
            None => edits.append_header(message, format!("Max-Breadth: {part}\r\n").into()),
        }
    }
    Ok(())
}
