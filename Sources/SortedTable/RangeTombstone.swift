/// A delete of all user keys in `lower ..< upper` written before `sequence`.
///
/// Tables keep their tombstones as they were given, sorted by (lower, sequence descending, upper);
/// what they hide is decided by the tree.
package struct RangeTombstone: Equatable, Sendable {
    /// The first user key that is gone.
    package var lower: [UInt8]
    /// The first user key behind the range.
    package var upper: [UInt8]
    /// Rows of the range with a lower sequence number are hidden.
    package var sequence: SequenceNumber

    /// A tombstone over `lower ..< upper`.
    package init(lower: [UInt8], upper: [UInt8], sequence: SequenceNumber) {
        self.lower = lower
        self.upper = upper
        self.sequence = sequence
    }
}
