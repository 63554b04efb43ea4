//! Whether a program can be the only file of its image: enough of ELF to tell.

/// `EM_*` of the processors that there are images for.
const MACHINES: [(u16, &str); 4] = [(62, "x86_64"), (183, "aarch64"), (22, "s390x"), (21, "powerpc64")];
/// `PT_INTERP`: the program asks for a dynamic linker.
const INTERPRETER: u32 = 3;
/// Headers of segments that are looked at: real programs have about ten.
const MAX_SEGMENTS: usize = 256;

/// Why `program` is no static 64-bit Linux program.
pub(super) fn is_static(program: &[u8]) -> Result<(), String> {
    let elf = Elf::of(program)?;
    match elf.interpreter()? {
        false => Ok(()),
        true => Err("is linked dynamically, and its image has no libraries; build it for a musl target \
                     (`--target x86_64-unknown-linux-musl`), or with RUSTFLAGS=-Ctarget-feature=+crt-static"
            .to_owned()),
    }
}

/// Why `program` does not run on this machine's processor.
pub(super) fn runs_here(program: &[u8]) -> Result<(), String> {
    let machine = Elf::of(program)?.machine()?;
    let name = MACHINES.iter().find(|(number, _)| *number == machine).map(|(_, name)| *name);
    let here = std::env::consts::ARCH;
    match name {
        Some(name) if name == here => Ok(()),
        Some(name) => Err(format!("is built for {name}, and this peer runs on {here}")),
        None => Err(format!("is built for ELF machine {machine}, and this peer runs on {here}")),
    }
}

/// A 64-bit ELF file.
struct Elf<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl<'a> Elf<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self, String> {
        match bytes {
            [0x7f, b'E', b'L', b'F', 2, order @ (1 | 2), ..] => Ok(Self { bytes, big_endian: *order == 2 }),
            [0x7f, b'E', b'L', b'F', ..] => Err("is no 64-bit program".to_owned()),
            _ => Err("is no Linux program (ELF)".to_owned()),
        }
    }

    fn number<const N: usize>(&self, offset: usize) -> Result<u64, String> {
        let end = offset.checked_add(N).ok_or("is cut off")?;
        let bytes = self.bytes.get(offset..end).ok_or("is cut off")?;
        let join = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Ok(if self.big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) })
    }

    fn machine(&self) -> Result<u16, String> {
        self.number::<2>(18).map(|number| number as u16)
    }

    fn interpreter(&self) -> Result<bool, String> {
        let offset = |number: u64| usize::try_from(number).map_err(|_| "is cut off".to_owned());
        let (start, size) = (offset(self.number::<8>(32)?)?, offset(self.number::<2>(54)?)?);
        let count = offset(self.number::<2>(56)?)?.min(MAX_SEGMENTS);
        for index in 0..count {
            let at = start.checked_add(index * size).ok_or("is cut off")?;
            if self.number::<4>(at)? == u64::from(INTERPRETER) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program with one segment of that type.
    fn program(machine: u16, segment: u32) -> Vec<u8> {
        let mut elf = vec![0; 64 + 56];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[18..20].copy_from_slice(&machine.to_le_bytes());
        elf[32] = 64;
        elf[54] = 56;
        elf[56] = 1;
        elf[64..68].copy_from_slice(&segment.to_le_bytes());
        elf
    }

    #[test]
    fn only_a_static_program_stands_alone() {
        assert_eq!(is_static(&program(62, 1)), Ok(()));
        assert!(is_static(&program(62, INTERPRETER)).unwrap_err().starts_with("is linked dynamically"));
        assert_eq!(is_static(b"#!/bin/sh"), Err("is no Linux program (ELF)".to_owned()));
        assert_eq!(is_static(&program(62, 1)[..60]), Err("is cut off".to_owned()));
    }

    #[test]
    fn this_test_runs_here_and_another_processors_program_does_not() {
        let this = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(runs_here(&this), Ok(()));
        let here = std::env::consts::ARCH;
        let (other, name) = MACHINES.into_iter().find(|(_, name)| *name != here).unwrap();
        assert_eq!(runs_here(&program(other, 1)), Err(format!("is built for {name}, and this peer runs on {here}")));
    }
}
