import Glibc

/// The environment variables of this process, for switches of tests and tools.
package enum ProcessEnvironment {
    /// The variable's text; nil when it is not set.
    package static func value(_ name: String) -> String? {
        guard let text = getenv(name) else { return nil }
        return String(cString: text)
    }
}
