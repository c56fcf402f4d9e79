//! `size --crates` and `size --crate`: what the crates take of an image, and the budgets of single crates.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;

use crate::board::{Board, Variant};
use crate::build::Image;
use crate::failure::Failure;
use crate::parts::{self, Part, Parts};
use crate::workspace::Workspace;
use crate::{size, types};

/// Is the table `package.metadata.size` of a crate: what it may take on a target, and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    target: String,
    flash_bytes: u64,
    ram_bytes: u64,
    /// The type that a device has one of: `module::Type`.
    state: String,
    /// Libraries that are there for this crate; their flash counts with its own.
    #[serde(default)]
    with: Vec<String>,
}

/// Is a crate of this repository, as far as its size matters.
#[derive(Clone, Debug)]
pub struct Crate {
    /// Its folder: its package's name without our prefix.
    pub name: String,
    package: String,
    budget: Option<Budget>,
}

impl Crate {
    /// Lists the crates of the workspace.
    ///
    /// # Errors
    /// When cargo does not answer, or a budget cannot be understood.
    pub fn all(workspace: &Workspace) -> Result<Vec<Self>, Failure> {
        let metadata = workspace.metadata()?;
        let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
        packages
            .iter()
            .map(|package| {
                let name = package["name"].as_str().unwrap_or_default();
                let budget = match &package["metadata"]["size"] {
                    serde_json::Value::Null => None,
                    table => Some(Budget::deserialize(table).map_err(|error| {
                        Failure::Failed(format!("{name}: package.metadata.size: {error}"))
                    })?),
                };
                let folder = name.strip_prefix("sockeye-").unwrap_or(name);
                Ok(Self { name: folder.to_owned(), package: name.to_owned(), budget })
            })
            .collect()
    }

    /// Finds one, with or without our prefix.
    ///
    /// # Errors
    /// When there is none of that name: what there is.
    pub fn choose(workspace: &Workspace, name: &str) -> Result<Self, Failure> {
        let mut all = Self::all(workspace)?;
        match all.iter().position(|one| one.name == name || one.package == name) {
            Some(index) => Ok(all.swap_remove(index)),
            None => {
                all.sort_by(|a, b| a.name.cmp(&b.name));
                let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
                Err(Failure::Usage(format!(
                    "there is no crate `{name}`; choose one of: {}",
                    names.join(", ")
                )))
            }
        }
    }
}

/// Is an image, divided.
#[derive(Debug)]
pub struct Divided<'a> {
    board: &'a Board,
    variant: &'a Variant,
    elf: Vec<u8>,
    parts: Parts,
}

impl<'a> Divided<'a> {
    /// Divides an image, and checks that nothing was lost on the way.
    ///
    /// # Errors
    /// When the image cannot be read, or its parts are not the whole.
    pub fn new(
        workspace: &Workspace,
        board: &'a Board,
        variant: &'a Variant,
        image: &Image,
    ) -> Result<Self, Failure> {
        let elf = fs::read(&image.elf).map_err(|error| Failure::file(&image.elf, error))?;
        let parts = parts::parts(&elf, &workspace.root, &board.memory)
            .map_err(|error| Failure::file(&image.elf, error))?;
        let sum = |of: fn(&Part) -> u64| parts.values().map(of).sum::<u64>();
        let (flash, ram) = (sum(|part| part.flash()), sum(|part| part.ram()));
        if (flash, ram) != (image.size.flash(), image.size.ram()) {
            let (whole_flash, whole_ram) = (image.size.flash(), image.size.ram());
            let what = format!(
                "its parts are {flash} and {ram} bytes of flash and RAM, the whole {whole_flash} and {whole_ram}"
            );
            return Err(Failure::file(&image.elf, what));
        }
        Ok(Self { board, variant, elf, parts })
    }

    fn name(&self) -> String {
        format!("{} {}", self.board.about.name, self.variant.name)
    }

    /// Prints what each crate takes, the largest first.
    pub fn print(&self) {
        println!();
        println!(
            "{:<32} {:>8} {:>10} {:>6} {:>8} {:>8}",
            self.name(),
            "code",
            "constants",
            "data",
            "flash",
            "bss"
        );
        let mut rows: Vec<(&String, &Part)> = self.parts.iter().collect();
        rows.sort_by_key(|(name, part)| (Reverse(part.flash()), name.as_str()));
        for (name, part) in rows {
            let Part { code, constants, data, bss } = part;
            println!("{name:<32} {code:>8} {constants:>10} {data:>6} {:>8} {bss:>8}", part.flash());
        }
    }

    /// Prints what one crate takes, and its largest types; gives what it takes over its budget.
    ///
    /// # Errors
    /// When a type of the budget is not in the image.
    pub fn print_one(&self, one: &Crate) -> Result<Vec<String>, Failure> {
        let part = self.parts.get(&one.name).copied().unwrap_or_default();
        let image = self.name();
        println!();
        println!(
            "{} in {image}: {} bytes of flash ({} code, {} constants, {} data), {} of statics",
            one.name,
            part.flash(),
            part.code,
            part.constants,
            part.data,
            part.ram()
        );
        let mut types: Vec<(String, u64)> = self.types(one)?.into_iter().collect();
        types.sort_by_key(|(name, bytes)| (Reverse(*bytes), name.clone()));
        for (name, bytes) in types.iter().take(8) {
            println!("{bytes:>8}  {name}");
        }
        self.check(one)
    }

    /// Prints what one crate takes of its budget, if it has one for this board; gives what is over it.
    ///
    /// # Errors
    /// When a type of the budget is not in the image.
    pub fn check(&self, one: &Crate) -> Result<Vec<String>, Failure> {
        let Some(budget) = one.budget.as_ref().filter(|budget| budget.target == self.board.about.target)
        else {
            return Ok(Vec::new());
        };
        let name = format!("{} in {}", one.name, self.name());
        let taken = take(&one.name, budget, &self.parts, &self.types(one)?)
            .map_err(|what| Failure::Failed(format!("{name}: {what}")))?;
        println!(
            "{name}: {} of {} bytes of flash, {} of {} bytes of RAM",
            taken.flash, budget.flash_bytes, taken.ram, budget.ram_bytes
        );
        println!(
            "  flash: its own, and of {}; RAM: statics, {}, its largest future",
            budget.with.join(", "),
            budget.state
        );
        Ok(over(&name, budget, taken))
    }

    fn types(&self, one: &Crate) -> Result<BTreeMap<String, u64>, Failure> {
        let wrong = |error| Failure::Failed(format!("{}: {error}", self.name()));
        types::sizes(&self.elf, &one.package).map_err(wrong)
    }
}

/// Is what a crate takes, with all that belongs to it; in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Taken {
    flash: u64,
    ram: u64,
}

/// Sums up flash and RAM. A device keeps one of the crate's state type, and polls one of its futures at a time: the
/// largest, with what it awaits inside, of other crates too.
fn take(name: &str, budget: &Budget, parts: &Parts, types: &BTreeMap<String, u64>) -> Result<Taken, String> {
    let own = parts.get(name).ok_or("is not in the image")?;
    let mut flash = own.flash();
    for library in &budget.with {
        flash += parts.get(library).map_or(0, |part| part.flash());
    }
    let state = types.get(&budget.state).ok_or_else(|| format!("no type {} in the image", budget.state))?;
    let futures = types.iter().filter(|(name, _)| name.contains("{async_"));
    let future = futures.map(|(_, bytes)| *bytes).max().unwrap_or_default();
    Ok(Taken { flash, ram: own.ram() + state + future })
}

fn over(name: &str, budget: &Budget, taken: Taken) -> Vec<String> {
    size::beyond(name, [("flash", taken.flash, budget.flash_bytes), ("RAM", taken.ram, budget.ram_bytes)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_takes_its_own_its_libraries_its_state_and_its_largest_future() {
        let budget = |flash_bytes, ram_bytes| Budget {
            target: "thumbv7em-none-eabi".to_owned(),
            flash_bytes,
            ram_bytes,
            state: "driver::Driver".to_owned(),
            with: vec!["aes".to_owned(), "absent".to_owned()],
        };
        let part = |code, constants, data, bss| Part { code, constants, data, bss };
        let parts = Parts::from([
            ("mac".to_owned(), part(1000, 200, 8, 4)),
            ("aes".to_owned(), part(300, 0, 0, 0)),
            ("radio".to_owned(), part(5000, 0, 0, 0)),
        ]);
        let types = [
            ("driver::Driver", 90),
            ("driver::next::{async_fn_env#0}", 70),
            ("driver::x::{async_block_env#0}", 30),
            ("mac::Mac", 80),
        ];
        let types: BTreeMap<String, u64> = types.map(|(name, bytes)| (name.to_owned(), bytes)).into();
        let taken = take("mac", &budget(0, 0), &parts, &types).unwrap();
        assert_eq!(taken, Taken { flash: 1508, ram: 12 + 90 + 70 });
        assert_eq!(over("mac", &budget(1508, 172), taken), [""; 0]);
        assert_eq!(
            over("mac", &budget(1500, 170), taken),
            [
                "mac takes 1508 bytes of flash, 8 over its budget",
                "mac takes 172 bytes of RAM, 2 over its budget"
            ]
        );
        assert!(take("mac", &budget(0, 0), &parts, &BTreeMap::new()).unwrap_err().contains("driver::Driver"));
        assert!(take("nfc", &budget(0, 0), &parts, &types).is_err());
    }

    #[test]
    fn the_mac_has_the_budget_that_was_promised() {
        let mac = Crate::choose(&Workspace::find().unwrap(), "sockeye-lorawan-mac").unwrap();
        let budget = mac.budget.unwrap();
        assert_eq!((budget.flash_bytes, budget.ram_bytes), (40 * 1024, 5 * 1024));
        assert_eq!(budget.target, "thumbv7em-none-eabi");
        assert_eq!(mac.name, "lorawan-mac");
    }

    #[test]
    fn a_crate_that_is_not_there_gives_those_that_are() {
        let failure = Crate::choose(&Workspace::find().unwrap(), "lorawan").unwrap_err();
        assert!(
            matches!(&failure, Failure::Usage(sentence) if sentence.contains("lorawan-mac")),
            "{failure:?}"
        );
    }
}
