/// A growing buffer of raw memory: what `[UInt8]` is, without reference counts and uniqueness
/// checks on every append.
struct RawBuilder: ~Copyable {
    private(set) var base: UnsafeMutableRawPointer
    /// Bytes in use.
    private(set) var count = 0
    private var capacity: Int

    init(capacity: Int) {
        self.capacity = max(64, capacity)
        base = .allocate(byteCount: self.capacity, alignment: 16)
    }

    deinit { base.deallocate() }

    /// The bytes in use; valid until the next change.
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    mutating func removeAll() { count = 0 }

    /// Drops the first `removed` bytes and moves the others to the front.
    mutating func removeFirst(_ removed: Int) {
        precondition(removed >= 0 && removed <= count, "only bytes in use can be removed")
        count -= removed
        base.copyMemory(from: base + removed, byteCount: count)
    }

    /// Makes room for `extra` more bytes.
    @inline(__always)
    mutating func reserve(_ extra: Int) {
        if capacity - count < extra { grow(extra) }
    }

    private mutating func grow(_ extra: Int) {
        let larger = max(capacity * 2, count + extra)
        let target = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 16)
        target.copyMemory(from: base, byteCount: count)
        base.deallocate()
        base = target
        capacity = larger
    }

    @inline(__always)
    mutating func append(_ source: UnsafeRawBufferPointer) {
        guard let from = source.baseAddress else { return }
        reserve(source.count)
        (base + count).copyMemory(from: from, byteCount: source.count)
        count &+= source.count
    }

    @inline(__always)
    mutating func append(byte: UInt8) {
        reserve(1)
        base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
        count &+= 1
    }

    @inline(__always)
    mutating func append<Value: FixedWidthInteger & BitwiseCopyable>(fixed value: Value) {
        reserve(MemoryLayout<Value>.size)
        base.storeBytes(of: value.littleEndian, toByteOffset: count, as: Value.self)
        count &+= MemoryLayout<Value>.size
    }

    /// Appends a length below 2^21.
    @inline(__always)
    mutating func append(varint value: Int) {
        var rest = value
        while rest >= 0x80 {
            append(byte: UInt8(truncatingIfNeeded: rest) | 0x80)
            rest &>>= 7
        }
        append(byte: UInt8(truncatingIfNeeded: rest))
    }

    /// Appends `extra` zero bytes.
    mutating func append(zeros extra: Int) {
        reserve(extra)
        (base + count).initializeMemory(as: UInt8.self, repeating: 0, count: extra)
        count += extra
    }

    /// Takes over bytes that were written behind ``count`` into reserved room.
    mutating func take(_ extra: Int) {
        precondition(extra >= 0 && extra <= capacity - count, "only reserved room can be taken")
        count += extra
    }
}

/// Bytes that two keys share from their start.
@inline(__always)
func sharedPrefix(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
    let end = min(left.count, right.count)
    guard let a = left.baseAddress, let b = right.baseAddress else { return 0 }
    var index = 0
    while index &+ 8 <= end {
        let difference =
            UInt64(littleEndian: a.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            ^ UInt64(littleEndian: b.loadUnaligned(fromByteOffset: index, as: UInt64.self))
        if difference != 0 { return index &+ difference.trailingZeroBitCount &>> 3 }
        index &+= 8
    }
    while index < end {
        let x = a.load(fromByteOffset: index, as: UInt8.self)
        if x != b.load(fromByteOffset: index, as: UInt8.self) { break }
        index &+= 1
    }
    return index
}
