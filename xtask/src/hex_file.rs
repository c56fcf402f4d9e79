//! Makes Intel HEX files, by the crate ihex.

use ihex::Record;

/// Bytes of a line.
const LINE: usize = 16;

/// Writes segments (address and bytes) as text.
///
/// # Errors
/// When a line cannot be made.
pub fn write(segments: &[(u32, &[u8])]) -> Result<String, String> {
    let mut records = Vec::new();
    let mut upper = None;
    for (start, bytes) in segments {
        let mut at = *start;
        let mut rest = *bytes;
        while !rest.is_empty() {
            // A line does not pass the end of its 64 KB.
            let room = 0x1_0000 - (at as usize & 0xFFFF);
            let (line, later) = rest.split_at(rest.len().min(LINE).min(room));
            if upper != Some(at >> 16) {
                upper = Some(at >> 16);
                records.push(Record::ExtendedLinearAddress((at >> 16) as u16));
            }
            records.push(Record::Data { offset: at as u16, value: line.to_vec() });
            at = at.checked_add(line.len() as u32).ok_or("a segment passes the end of the address space")?;
            rest = later;
        }
    }
    records.push(Record::EndOfFile);
    ihex::create_object_file_representation(&records).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_address_and_sum_and_do_not_pass_64_kb() {
        let text = write(&[(0x0800_FFFE, &[1, 2, 3])]).unwrap();
        let lines: Vec<_> = text.lines().collect();
        // By the rules of Intel's format: length, address, kind, bytes, and the sum that makes all zero.
        let expected =
            [":020000040800F2", ":02FFFE000102FE", ":020000040801F1", ":0100000003FC", ":00000001FF"];
        assert_eq!(lines, expected);
    }
}
