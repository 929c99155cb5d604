/// What this build is: one version for every program of the package.
package enum Release {
    /// By semantic versioning.
    package static let version = "0.2.0"
}
