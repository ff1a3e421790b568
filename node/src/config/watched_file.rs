//! Watches files of the configuration. What they hold is taken once two looks in a row have seen it: somebody may be writing
//! them.

/// The content of watched files at the last looks; `C` is what they held, or the reason why it is not usable.
#[derive(Debug)]
pub struct WatchedFile<C> {
    last: Option<C>,
    taken: C,
}

impl<C: Clone + PartialEq> WatchedFile<C> {
    /// `taken` was read at the start.
    pub fn new(taken: C) -> Self {
        Self { last: None, taken }
    }

    /// Takes what a look has found; returns it if it is new and stands still.
    pub fn look(&mut self, found: C) -> Option<C> {
        let stands_still = self.last.as_ref() == Some(&found);
        self.last = Some(found.clone());
        if !stands_still || found == self.taken {
            return None;
        }
        self.taken.clone_from(&found);
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::ClusterSecrets, *};

    const OLD: &str = "92f1c07ae86b435dd9a01e6f72c4b853";
    const NEW: &str = "c6a3f1de-90b7-4f52-8a1c-7e35d20b94f8";

    fn read(text: &str) -> Result<ClusterSecrets, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, text).unwrap();
        ClusterSecrets::read(&path).map_err(|error| error.to_string())
    }

    /// Promise: a file is not taken while it is being written, a content is taken once, and an unusable file is reported once.
    #[test]
    fn a_content_is_taken_once_and_only_when_it_stands_still() {
        let both = format!("{NEW}\n{OLD}");
        let mut file = WatchedFile::new(read(OLD));
        assert_eq!(file.look(read(OLD)), None, "nothing has changed");
        assert_eq!(file.look(read(OLD)), None);
        assert_eq!(file.look(read(NEW)), None, "the second line is not written yet");
        assert_eq!(file.look(read(&both)), None);
        assert_eq!(file.look(read(&both)), Some(read(&both)));
        assert_eq!(file.look(read(&both)), None);
        assert_eq!(file.look(read("")), None);
        assert!(file.look(read("")).unwrap().is_err());
        assert_eq!(file.look(read("")), None);
        assert_eq!(file.look(read(&both)), None);
        assert_eq!(file.look(read(&both)), Some(read(&both)), "it is usable again");
    }
}
