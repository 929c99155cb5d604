import ArgumentParser

/// `magpie-dump index …`
struct IndexCommands: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "index", abstract: "The search index.",
        discussion: Manual.page(
            """
            An index is a directory with a MANIFEST, segments and lists of dead documents; \
            docs/formats/search-manifest.md, search-segment.md and search-dead.md draw them. It is \
            made from the messages and can be made anew: a node whose index is deleted while it \
            is stopped does so by itself.
            """,
            examples: "index check ./data/search", "index manifest ./data/search/1",
            "index terms ./data/search/1/0000000000000007.segment --prefix tea"),
        subcommands: [
            Check.self, Manifest.self, Props.self, Terms.self, Postings.self,
        ])

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Reads every byte and checks all there is to check.",
            discussion: Manual.page(
                """
                Of an index also that its files are those of the manifest and that no document \
                lives in two segments. An orphan is what a crash left behind; the node removes it \
                when it starts. A single segment or list of dead documents can be checked too.
                """,
                examples: "index check ./data/search", "index check 0000000000000007.segment --json"
            ))
        @Argument(help: "Index directories or files.") var paths: [String]
        @OptionGroup var common: CommonOptions

        func run() throws {
            try common.inspectIndexes { inspector in
                for path in paths { try inspector.check(path) }
            }
        }
    }

    struct Manifest: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints what an index consists of.",
            discussion: Manual.page(
                "The cursor is how far the messages were read, in hexadecimal digits.",
                examples: "index manifest ./data/search", "index manifest ./data/search/1 --json"))
        @Argument(help: "Index directories.") var paths: [String]
        @OptionGroup var common: CommonOptions

        func run() throws {
            try common.inspectIndexes { inspector in
                for path in paths { try inspector.manifest(path) }
            }
        }
    }

    struct Props: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints what segments say of themselves.",
            discussion: Manual.page(
                "Counts, times in milliseconds since 1970, and the bytes of each section.",
                examples: "index props 0000000000000007.segment", "index props ./data/search --json"
            ))
        @Argument(help: "Segment files or directories.") var paths: [String]
        @OptionGroup var common: CommonOptions

        func run() throws {
            try common.inspectIndexes { inspector in
                for path in paths { try inspector.properties(path) }
            }
        }
    }

    struct Terms: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints the terms of segments in their order.",
            discussion: Manual.page(
                """
                A term is a word as the index has it: docs/formats/search-tokens.md. First come \
                terms of a zero byte and more, which stand for a flag or a sender. Documents count \
                dead ones too. This shows words of messages.
                """,
                examples: "index terms 0000000000000007.segment --prefix tea",
                "index terms ./data/search --limit 100 --json"))
        @Argument(help: "Segment files or directories.") var paths: [String]
        @Option(help: "Only terms that begin so: text, or 0x and hexadecimal digits.")
        var prefix = ""
        @Option(help: "Terms at most, of each path.") var limit: Int?
        @OptionGroup var common: CommonOptions

        func validate() throws {
            if let limit, limit < 0 { throw ValidationError("--limit is not negative") }
        }

        func run() throws {
            let prefix = try IndexInspector.term(prefix)
            try common.inspectIndexes { inspector in
                for path in paths {
                    try inspector.terms(path, prefix: prefix, limit: limit ?? .max)
                }
            }
        }
    }

    struct Postings: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints the documents that have TERM, with its positions.",
            discussion: Manual.page(
                """
                TERM is as `index terms` prints it: text, or 0x and hexadecimal digits. Dead \
                documents are among those printed.
                """,
                examples: "index postings 0000000000000007.segment tea",
                "index postings ./data/search 0xe69db1 --limit 10 --json"))
        @Argument(help: "A segment file or a directory.") var path: String
        @Argument(help: "A term as the index has it.") var term: String
        @Option(help: "Documents at most.") var limit: Int?
        @OptionGroup var common: CommonOptions

        func validate() throws {
            if let limit, limit < 0 { throw ValidationError("--limit is not negative") }
        }

        func run() throws {
            let term = try IndexInspector.term(term)
            try common.inspectIndexes { inspector in
                try inspector.postings(path, of: term, limit: limit ?? .max)
            }
        }
    }
}

extension CommonOptions {
    /// ``inspect(_:)`` for commands about indexes.
    func inspectIndexes(_ body: (IndexInspector) throws -> Void) throws {
        try inspect { places, report, keys in
            try body(IndexInspector(places: places, report: report, isHex: keys.isHex))
        }
    }
}
