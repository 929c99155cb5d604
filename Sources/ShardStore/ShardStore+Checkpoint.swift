package import LSMTree

extension ShardStore {
    /// Makes `directory`, on the same volume, a copy of everything applied so far that costs no
    /// space: a cut, then `directory/tree` by hard links. A store opens there, with an empty log,
    /// as a node that knows these replicas as its own (`isOwn`): replay starts behind the
    /// positions.
    ///
    /// Returns at once; `done` is called on a lane of the tree with what was copied: how far each
    /// shard goes is in the checkpoint's state, see ``CutStateFormat``. When as many cuts as may
    /// already wait for the disk, it is those that the checkpoint holds.
    ///
    /// Belongs to the apply lane.
    package func checkpoint(
        to directory: String, done: @escaping @Sendable (Result<Checkpoint, TreeError>) -> Void
    ) {
        cut()
        tree.checkpoint(to: directory + "/tree", done: done)
    }
}
