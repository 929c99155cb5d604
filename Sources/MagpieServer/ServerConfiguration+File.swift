import Foundation

extension ServerConfiguration {
    /// A configuration file, a JSON object; all keys may be absent.
    package struct File: Decodable, Sendable {
        enum CodingKeys: String, CodingKey, CaseIterable {
            case data, listen, publicUrl, origins, rateLimits, presenceTtl, memory, diskBudget
            case scrub, cluster
        }

        /// As `--data`.
        package var data: String?
        /// As `--listen`.
        package var listen: String?
        /// As `--public-url`.
        package var publicUrl: String?
        /// As `--origin`.
        package var origins: [String]?
        /// As `--rate-limits on|off`.
        package var rateLimits: Bool?
        /// As `--presence-ttl`.
        package var presenceTtl: Int?
        /// As `--memory`.
        package var memory: Int?
        /// As `--disk-budget`.
        package var diskBudget: Int?
        /// As `--scrub`.
        package var scrub: Int?
        /// The cluster; only here.
        package var cluster: ClusterSettings?

        /// No keys.
        package init() {}

        /// Reads a file; throws ``ConfigurationError`` that names it.
        package static func read(_ path: String) throws(ConfigurationError) -> File {
            guard let bytes = FileManager.default.contents(atPath: path) else {
                throw ConfigurationError("--config \(path): the file cannot be read")
            }
            do throws(ConfigurationError) {
                return try File(json: bytes)
            } catch {
                throw ConfigurationError("--config \(path): \(error)")
            }
        }

        /// The file of these bytes; throws what is wrong with it.
        init(json bytes: Data) throws(ConfigurationError) {
            do {
                self = try JSONDecoder().decode(File.self, from: bytes)
                try Self.requireKnownKeys(JSONSerialization.jsonObject(with: bytes))
            } catch let error as DecodingError {
                throw ConfigurationError(Self.text(error))
            } catch {
                throw ConfigurationError("\(error)")
            }
            if let objection { throw ConfigurationError(objection) }
        }

        private var objection: String? {
            if let presenceTtl, !(1...86_400).contains(presenceTtl) {
                return "presenceTtl: 1 to 86400 seconds"
            }
            if let memory, !(64...1_048_576).contains(memory) {
                return "memory: 64 to 1048576 megabytes"
            }
            if let diskBudget, !ServerConfiguration.diskBudgets.contains(diskBudget) {
                return "diskBudget: at least 1024 megabytes"
            }
            if let scrub, !ServerConfiguration.scrubs.contains(scrub) {
                return "scrub: 0 to 1024 megabytes a second"
            }
            return cluster?.objection
        }

        /// A key that is spelled wrong would be a setting that silently does nothing.
        private static func requireKnownKeys(_ file: Any) throws(ConfigurationError) {
            let cluster = try members(file, "", CodingKeys.self)["cluster"]
            guard let cluster, !(cluster is NSNull) else { return }
            let keys = try members(cluster, "cluster.", ClusterSettings.CodingKeys.self)
            for node in keys["nodes"] as? [Any] ?? [] {
                _ = try members(node, "cluster.nodes.", ClusterSettings.Node.CodingKeys.self)
            }
            if let tls = keys["tls"], !(tls is NSNull) {
                _ = try members(tls, "cluster.tls.", ClusterSettings.TLS.CodingKeys.self)
            }
        }

        private static func members<Keys: CodingKey & CaseIterable>(
            _ value: Any, _ prefix: String, _ known: Keys.Type
        ) throws(ConfigurationError) -> [String: Any] {
            let members = value as? [String: Any] ?? [:]
            if let key = members.keys.sorted().first(where: { Keys(stringValue: $0) == nil }) {
                let names = Keys.allCases.map(\.stringValue).joined(separator: ", ")
                throw ConfigurationError(
                    "\(prefix)\(key): there is no such key; known are \(names)")
            }
            return members
        }

        private static func text(_ error: DecodingError) -> String {
            func place(_ path: [any CodingKey]) -> String {
                path.map { $0.intValue.map { "\($0 + 1)" } ?? $0.stringValue }
                    .joined(separator: ".")
            }
            switch error {
            case .typeMismatch(let type, let context):
                return "\(place(context.codingPath)): expected \(name(type))"
            case .valueNotFound(let type, let context):
                return "\(place(context.codingPath)): expected \(name(type)), found null"
            case .keyNotFound(let key, let context):
                return "\(place(context.codingPath + [key])) is missing"
            case .dataCorrupted(let context) where context.codingPath.isEmpty:
                return "the file is not JSON: \(context.underlyingError.map { "\($0)" } ?? "")"
            case .dataCorrupted(let context):
                return "\(place(context.codingPath)): \(context.debugDescription)"
            @unknown default:
                return "\(error)"
            }
        }

        private static func name(_ type: any Any.Type) -> String {
            switch type {
            case is String.Type: "a string"
            case is Bool.Type: "true or false"
            case is any BinaryInteger.Type: "a whole number"
            case is [Any].Type: "a list"
            default: "an object"
            }
        }
    }
}
