/// The row on which a walk stands, in plain memory that others read while the walk writes it: a
/// merge compares the keys of its sources without asking them.
///
/// The pointers are valid until the next move.
package struct ShownRow {
    /// False before the first move and past either end; then the rest is meaningless.
    package var isValid = false
    /// The user key, with its trailer behind it.
    package var keyStart: UnsafeRawPointer
    /// Bytes of the user key.
    package var userKeyBytes = 0
    /// Sequence and kind: `sequence << 8 | kind`.
    package var trailer: UInt64 = 0
    /// The value's first byte.
    package var valueStart: UnsafeRawPointer
    /// Bytes of the value.
    package var valueBytes = 0

    /// No row.
    package init() {
        keyStart = UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped
        valueStart = keyStart
    }

    /// The user key.
    package var userKey: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: keyStart, count: userKeyBytes)
    }

    /// The key and its trailer, as tables store them.
    package var internalKey: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: keyStart, count: userKeyBytes &+ 8)
    }

    /// The value.
    package var value: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: valueStart, count: valueBytes)
    }
}
