import ArgumentParser

/// How the help of every command ends.
enum Manual {
    /// A discussion: what the command does beyond its abstract, examples, exit status.
    static func page(_ text: String = "", examples: String...) -> String {
        var page = text.isEmpty ? "" : text + "\n\n"
        page += "Examples:\n" + examples.map { "  magpie-dump " + $0 }.joined(separator: "\n")
        return page + "\n\n"
            + """
            With --json each finding is one JSON object on a line; its "kind" says what it is.
            Exit status: 0 clean, 1 corrupt (a line names file and offset), 2 wrong use.
            """
    }
}
