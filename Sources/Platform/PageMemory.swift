import Glibc

/// Memory in whole pages from the kernel, for pieces that are large and live long: freed, they
/// leave the process at once. An allocator would keep them for whoever asks next on that thread.
package enum PageMemory {
    /// Takes `bytes`, which are zero; traps when there is no memory, as an allocator does.
    package static func allocate(_ bytes: Int) -> UnsafeMutableRawPointer {
        let memory = mmap(
            nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let memory, memory != MAP_FAILED else {
            preconditionFailure("no memory for \(bytes) bytes")
        }
        return memory
    }

    /// Gives back all that ``allocate(_:)`` gave for `bytes`. Where the kernel cannot, because a
    /// process may have so many mappings, at least the memory behind them.
    package static func free(_ memory: UnsafeMutableRawPointer, _ bytes: Int) {
        if munmap(memory, bytes) == 0 { return }
        let result = madvise(memory, bytes, MADV_DONTNEED)
        precondition(result == 0, "pages are given back as they were taken")
    }
}
