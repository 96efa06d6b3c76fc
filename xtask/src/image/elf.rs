//! Whether a program needs nothing but the kernel.

use anyhow::{Result, bail};

use super::Arch;

/// Header of a segment that names the program which loads this one.
const INTERPRETER: u32 = 3;

/// Fails for what would not start in an empty image, or not on this machine.
pub(super) fn check(program: &[u8], arch: Arch) -> Result<()> {
    let Some(elf) = Elf::read(program) else {
        bail!("no program of 64 bits for Linux");
    };
    let wanted = match arch {
        Arch::Amd64 => 62,
        Arch::Arm64 => 183,
    };
    if elf.machine != wanted {
        bail!("built for another machine than {}", arch.name());
    }
    if elf.segments.contains(&INTERPRETER) {
        bail!("linked dynamically; the image has no libraries");
    }
    Ok(())
}

struct Elf {
    machine: u16,
    /// Types of its segments.
    segments: Vec<u32>,
}

impl Elf {
    fn read(program: &[u8]) -> Option<Self> {
        // 64 bits, little-endian.
        if !program.starts_with(b"\x7fELF\x02\x01") {
            return None;
        }
        let start = usize::try_from(u64::from_le_bytes(bytes(program, 32)?)).ok()?;
        let size = usize::from(u16::from_le_bytes(bytes(program, 54)?));
        let count = usize::from(u16::from_le_bytes(bytes(program, 56)?));
        let types = (0..count).map(|number| {
            let at = start.checked_add(number * size)?;
            Some(u32::from_le_bytes(bytes(program, at)?))
        });
        Some(Self {
            machine: u16::from_le_bytes(bytes(program, 18)?),
            segments: types.collect::<Option<_>>()?,
        })
    }
}

fn bytes<const N: usize>(program: &[u8], at: usize) -> Option<[u8; N]> {
    program.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with one segment of this type.
    fn program(machine: u16, segment: u32) -> Vec<u8> {
        let mut elf = b"\x7fELF\x02\x01".to_vec();
        elf.resize(64, 0);
        elf[18..20].copy_from_slice(&machine.to_le_bytes());
        elf[32] = 64;
        elf[54] = 56;
        elf[56] = 1;
        elf.extend(segment.to_le_bytes());
        elf
    }

    #[test]
    fn a_program_that_would_not_start_is_refused() {
        let said = |program: &[u8]| {
            check(program, Arch::Amd64)
                .err()
                .map(|error| error.to_string())
        };
        assert_eq!(said(&program(62, 1)), None);
        let table = [
            (b"#!/bin/sh\n".to_vec(), "no program"),
            (program(183, 1), "another machine"),
            (program(62, INTERPRETER), "dynamically"),
            (program(62, 1)[..66].to_vec(), "no program"),
        ];
        for (program, words) in table {
            let said = said(&program).unwrap_or_default();
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn the_program_that_runs_this_test_is_linked_dynamically() {
        let this = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        if let Some(elf) = Elf::read(&this) {
            assert!(elf.segments.contains(&INTERPRETER));
        }
    }
}
