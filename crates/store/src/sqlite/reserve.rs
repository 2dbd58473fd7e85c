//! Space kept back for decisions: a file of zeros, really written, that is removed when the disk
//! is full so that the next decision finds room.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

pub(super) struct Reserve {
    path: PathBuf,
    bytes: u64,
    held: bool,
}

impl Reserve {
    /// Takes the space, or as little of it as is there: a missing reserve is no reason not to
    /// start.
    pub(super) fn keep(path: &Path, bytes: u64) -> Self {
        let mut reserve = Self { path: path.to_owned(), bytes, held: false };
        reserve.take();
        reserve
    }

    /// Takes the space again, e.g. after some was freed. Returns whether it is held.
    pub(super) fn take(&mut self) -> bool {
        if !self.held {
            self.held = self.fill().is_ok();
            if !self.held {
                let _ = std::fs::remove_file(&self.path);
            }
        }
        self.held
    }

    fn fill(&self) -> std::io::Result<()> {
        if std::fs::metadata(&self.path).is_ok_and(|m| m.len() == self.bytes) {
            return Ok(());
        }
        let mut file = File::create(&self.path)?;
        let block = [0_u8; 1 << 16];
        let mut left = self.bytes;
        while left > 0 {
            let take = left.min(block.len() as u64) as usize;
            file.write_all(&block[..take])?;
            left -= take as u64;
        }
        file.sync_all()
    }

    /// Gives the space up. Returns whether there was any.
    pub(super) fn give_up(&mut self) -> bool {
        let had = self.held;
        self.held = false;
        std::fs::remove_file(&self.path).is_ok() || had
    }
}
