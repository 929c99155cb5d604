/// What the tests of the storage engine have done.
package enum Trust {
    /// Says how much was done, in lines that `Tools/trust` adds up.
    package static func report(_ count: Int, _ what: String) { print("trust: \(count) \(what)") }
}
