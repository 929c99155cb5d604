/// The bytes of a whole file at one address, until the last who holds them lets go.
///
/// Of a real file they are the kernel's page cache: no memory of the process, read from the disk
/// when they are touched, and given up when memory is short. A page that the disk cannot read any
/// more ends the process with SIGBUS, so who maps a file reads it once by ``File/read(into:at:)``
/// before, where a bad sector is an error. Behind the last byte nothing may be read.
// Immutable: nobody writes through the pointer before it is released.
package final class MappedBytes: @unchecked Sendable {
    /// The bytes, for as long as this is held.
    package let bytes: UnsafeRawBufferPointer
    private let release: @Sendable (UnsafeRawBufferPointer) -> Void

    /// Bytes that `release` frees in the end.
    package init(
        _ bytes: UnsafeRawBufferPointer,
        release: @escaping @Sendable (UnsafeRawBufferPointer) -> Void
    ) {
        self.bytes = bytes
        self.release = release
    }

    deinit { release(bytes) }
}

extension File {
    /// A copy in memory, for files that the kernel does not know.
    package func map() throws(DiskError) -> MappedBytes {
        let count = Int(clamping: try size())
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 64)
        let mapped = MappedBytes(UnsafeRawBufferPointer(copy)) { $0.deallocate() }
        let got = try read(into: copy, at: 0)
        guard got == count else { throw DiskError(.inputOutput, "mmap", path) }
        return mapped
    }
}
