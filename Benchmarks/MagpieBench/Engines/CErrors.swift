/// Calls a C function that reports failure through a message, and throws that message.
@inline(__always)
func checked<Value>(
    _ engine: StaticString, free: (UnsafeMutableRawPointer) -> Void,
    _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Value
) throws -> Value {
    var message: UnsafeMutablePointer<CChar>?
    let value = body(&message)
    if let message {
        defer { free(message) }
        throw EngineError("\(engine): \(String(cString: message))")
    }
    return value
}

extension UnsafeRawBufferPointer {
    /// The bytes as C functions take them.
    @inline(__always)
    var chars: UnsafePointer<CChar>? { baseAddress?.assumingMemoryBound(to: CChar.self) }
}
