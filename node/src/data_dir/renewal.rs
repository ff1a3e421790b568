//! A new identity for a node that is no member of its cluster any more. It keeps its store: that holds what others may lack.

use starling_protocol::NodeId;

use super::{DataDir, DataDirError, Identity};

impl Identity {
    /// Returns the same identity under another id.
    #[must_use]
    pub fn renewed(&self, node: NodeId) -> Self {
        Self { node: node.to_string(), ..self.clone() }
    }
}

impl DataDir {
    /// Gives the node in the directory another id, and keeps the old identity beside it.
    ///
    /// # Errors
    ///
    /// If there is no node in the directory, or a file cannot be read or written.
    pub fn renew_identity(&self, node: NodeId) -> Result<(), DataDirError> {
        let (_, identity) = Self::inspect(&self.path)?;
        let identity = identity.ok_or_else(|| DataDirError::Missing(self.path.clone()))?;
        self.replace_identity(&identity.renewed(node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Membership (design, section 3): a forgotten node comes back under a new id and keeps everything else.
    #[test]
    fn a_renewed_identity_differs_in_its_id_alone() {
        let home = tempfile::tempdir().unwrap();
        let (dir, _) = DataDir::inspect(home.path()).unwrap();
        let old = Identity::new(NodeId([1; 16]), [7; 32]).with_store().in_cluster(Some("cluster".into()));
        dir.create_identity(&old).unwrap();
        dir.renew_identity(NodeId([2; 16])).unwrap();
        let (_, new) = DataDir::inspect(home.path()).unwrap();
        let new = new.unwrap();
        assert_eq!(new.node(), NodeId([2; 16]));
        assert_eq!((new.secret(), &new.cluster, new.had_store()), (old.secret(), &old.cluster, true));
    }

    /// Bad input: a directory without a node.
    #[test]
    fn there_must_be_a_node_to_renew() {
        let home = tempfile::tempdir().unwrap();
        let (dir, _) = DataDir::inspect(home.path()).unwrap();
        assert!(matches!(dir.renew_identity(NodeId([2; 16])), Err(DataDirError::Missing(_))));
    }
}
