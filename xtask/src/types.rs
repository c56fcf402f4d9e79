//! Reads from an image's debug information how big its types are.

use std::collections::BTreeMap;

use gimli::constants::{DW_AT_byte_size, DW_AT_name, DW_TAG_namespace, DW_TAG_structure_type};
use object::read::elf::ElfFile32;

use crate::parts;

/// Gives the sizes, in bytes, of the types of a crate that an image has, by the names of their modules and their
/// own, without parameters: `driver::Driver`. Of several with one name the largest counts. The state of an
/// `async fn` is `module::function::{async_fn_env#0}`.
///
/// # Errors
/// When it is no ELF file of 32 bits with debug information.
pub fn sizes(elf: &[u8], package: &str) -> Result<BTreeMap<String, u64>, String> {
    let file: ElfFile32 = ElfFile32::parse(elf).map_err(|error| error.to_string())?;
    let dwarf = parts::debug_information(&file)?;
    read(&dwarf, &package.replace('-', "_")).map_err(|error| error.to_string())
}

fn read<R: gimli::Reader>(dwarf: &gimli::Dwarf<R>, krate: &str) -> gimli::Result<BTreeMap<String, u64>> {
    let mut sizes = BTreeMap::new();
    let mut headers = dwarf.units();
    while let Some(header) = headers.next()? {
        let unit = dwarf.unit(header)?;
        let mut path: Vec<(isize, String)> = Vec::new();
        let mut entries = unit.entries();
        while let Some(entry) = entries.next_dfs()? {
            let depth = entry.depth();
            path.retain(|(outer, _)| *outer < depth);
            let is_type = entry.tag() == DW_TAG_structure_type;
            if !is_type && entry.tag() != DW_TAG_namespace {
                continue;
            }
            let Some(name) = entry.attr_value(DW_AT_name) else { continue };
            let name = dwarf.attr_string(&unit, name)?;
            let name = name.to_string_lossy()?;
            let plain = name.split('<').next().unwrap_or_default().to_owned();
            let bytes = entry.attr_value(DW_AT_byte_size).and_then(|value| value.udata_value());
            // The states of a future are types inside it, as large as the whole.
            let inside =
                path.last().is_some_and(|(_, outer)| outer.contains('{') && !outer.starts_with("{impl"));
            if let (true, Some(bytes), Some(((_, first), modules))) =
                (is_type && !inside, bytes, path.split_first())
                && first == krate
                && !plain.is_empty()
            {
                let modules = modules.iter().map(|(_, name)| name.as_str());
                let whole = modules.chain([plain.as_str()]).collect::<Vec<_>>().join("::");
                let largest = sizes.entry(whole).or_default();
                *largest = bytes.max(*largest);
            }
            path.push((depth, plain));
        }
    }
    Ok(sizes)
}
