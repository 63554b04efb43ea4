//! How much memory a process needs for something, as the system counts it.

use anyhow::Context;

/// The memory of a process from one moment on.
#[derive(Debug)]
pub struct PeakMemory {
    process: u32,
    before: usize,
}

impl PeakMemory {
    /// Begins to watch a process of this user, by its number.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn of(process: u32) -> anyhow::Result<Self> {
        // The peak from here on (proc(5)).
        std::fs::write(format!("/proc/{process}/clear_refs"), "5")?;
        Ok(Self { process, before: counted(process, "VmRSS:")? })
    }

    /// How many bytes it has had at most on top of those that it had at first.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn needed(&self) -> anyhow::Result<usize> {
        Ok(counted(self.process, "VmHWM:")?.saturating_sub(self.before))
    }
}

fn counted(process: u32, what: &str) -> anyhow::Result<usize> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(what)).with_context(|| what.to_owned())?;
    let kibibytes: usize = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes << 10)
}
