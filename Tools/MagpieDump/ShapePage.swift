import LSMTree
import Platform
import SortedTable

/// `db lsm --html`: a page that shows the shape of the tree after any edit of its manifest, with a
/// slider. It stands alone: data, style and script are in it, and it loads nothing.
struct ShapePage {
    private let keys: KeyText
    private var tables: [UInt64: JSON] = [:]
    private var edits: [JSON] = []
    /// All bounds of tables, by keyspace: a box reaches from the rank of its first key to that of
    /// its last, since keys themselves are no distances.
    private var bounds: [UInt8: Set<[UInt8]>] = [:]
    private var spans: [UInt64: (keyspace: UInt8, first: [UInt8], last: [UInt8])] = [:]

    init(keys: KeyText) { self.keys = keys }

    /// Takes the next record of the manifest.
    mutating func take(_ edit: ManifestEdit, at offset: UInt64) {
        for addition in edit.additions { take(addition.summary) }
        let added = edit.additions.map { addition in
            JSON.list([
                .text(TableName.make(addition.summary.fileID)), .number(UInt64(addition.level)),
            ])
        }
        let removed = edit.removals.map { JSON.text(TableName.make($0.fileID)) }
        edits.append(
            .object([
                ("offset", .number(offset)),
                ("label", .text(Self.label(edit))),
                ("add", .list(added)), ("remove", .list(removed)),
            ]))
    }

    private mutating func take(_ summary: TableSummary) {
        guard spans[summary.fileID] == nil else { return }
        let first = [UInt8](summary.smallestUserKey)
        let last = [UInt8](summary.largestUserKey)
        bounds[summary.keyspace, default: []].formUnion([first, last])
        spans[summary.fileID] = (summary.keyspace, first, last)
        tables[summary.fileID] = .object([
            ("keyspace", .text(KeyText.keyspaceName(summary.keyspace))),
            ("bytes", .number(summary.bytes)), ("rows", .number(summary.properties.rows)),
            ("deletes", .number(summary.properties.deletes)),
            ("rangeDeletes", .number(summary.properties.rangeDeletes)),
            ("maxSequence", .number(summary.properties.maxSequence)),
            ("first", .text(keys.describe(first, keyspace: summary.keyspace))),
            ("last", .text(keys.describe(last, keyspace: summary.keyspace))),
        ])
    }

    private static func label(_ edit: ManifestEdit) -> String {
        if edit.isOpening { return "opening" }
        var summary = EditSummary()
        summary.count(edit, [:])
        if summary.cuts > 0 { return "cut" }
        if summary.moves > 0 { return "move" }
        return summary.drops > 0 ? "drop" : "merge"
    }

    /// The page.
    func html(title: String) -> String {
        var ranks: [UInt8: [[UInt8]: Int]] = [:]
        for (keyspace, keys) in bounds {
            let sorted = keys.sorted { $0.lexicographicallyPrecedes($1) }
            ranks[keyspace] = Dictionary(
                sorted.enumerated().map { ($1, $0) }, uniquingKeysWith: { $1 })
        }
        let boxes = tables.keys.sorted().compactMap { id -> (String, JSON)? in
            guard let span = spans[id], let table = tables[id], let known = ranks[span.keyspace],
                case .object(let fields) = table
            else { return nil }
            let place = [
                ("from", JSON.number(known[span.first] ?? 0)),
                ("to", JSON.number(known[span.last] ?? 0)),
                ("width", JSON.number(known.count)),
            ]
            return (TableName.make(id), .object(fields + place))
        }
        let data = JSON.object([
            ("title", .text(title)), ("tables", .object(boxes)), ("edits", .list(edits)),
        ])
        // What stands in a script must not end it.
        let safe = data.line.split(separator: "<", omittingEmptySubsequences: false)
            .joined(separator: "\\u003c")
        return Self.head + safe + Self.tail
    }

    private static let head = """
        <!doctype html>
        <html lang="en"><meta charset="utf-8"><title>Shape of a tree</title>
        <style>
        body { font: 14px system-ui, sans-serif; margin: 1.5em; color: #222; background: #fff }
        input[type=range] { width: 100% }
        .level { display: flex; align-items: center; margin: 2px 0 }
        .name { width: 11em; flex: none; font-size: 12px }
        .lane { position: relative; height: 16px; flex: 1; background: #f3f3f3 }
        .box { position: absolute; top: 1px; bottom: 1px; background: #4a7fb5;
               border: 1px solid #fff; box-sizing: border-box; min-width: 3px }
        .box.new { background: #d9822b }
        .box:hover { background: #222 }
        h2 { font-size: 14px; margin: 1em 0 0.3em }
        pre { white-space: pre-wrap; min-height: 5em; background: #f8f8f8; padding: 0.6em }
        </style>
        <h1 id="title"></h1>
        <p><button id="back">&larr;</button> <button id="next">&rarr;</button>
        <span id="edit"></span></p>
        <input id="slider" type="range" min="0" value="0">
        <div id="levels"></div>
        <pre id="detail">Point at a table. Orange: added by this edit. Boxes reach from the rank of
        the first key to that of the last; level 0 has a line for each table, newest first.</pre>
        <script>
        const data =
        """

    private static let tail = """
        ;
        const by = id => document.getElementById(id);
        by("title").textContent = data.title;
        const slider = by("slider");
        slider.max = Math.max(0, data.edits.length - 1);
        function shapeAfter(count) {
          const levels = new Map();
          for (const edit of data.edits.slice(0, count + 1)) {
            for (const name of edit.remove) levels.delete(name);
            for (const [name, level] of edit.add) levels.set(name, level);
          }
          return levels;
        }
        function lane(parent, label, names, fresh) {
          const row = parent.appendChild(document.createElement("div"));
          row.className = "level";
          const name = row.appendChild(document.createElement("div"));
          name.className = "name";
          name.textContent = label;
          const line = row.appendChild(document.createElement("div"));
          line.className = "lane";
          for (const id of names) {
            const table = data.tables[id];
            const box = line.appendChild(document.createElement("div"));
            box.className = fresh.has(id) ? "box new" : "box";
            box.style.left = 100 * table.from / table.width + "%";
            box.style.width = 100 * (table.to - table.from + 1) / table.width + "%";
            box.onmouseenter = () => { by("detail").textContent = id + "\\n" +
              Object.entries(table).filter(([key]) => !["from", "to", "width"].includes(key))
                .map(([key, value]) => key + ": " + value).join("\\n"); };
          }
        }
        function show() {
          const at = Number(slider.value), edit = data.edits[at];
          const parent = by("levels");
          parent.replaceChildren();
          if (!edit) return;
          const levels = shapeAfter(at);
          const fresh = new Set(edit.add.map(([name]) => name));
          let bytes = 0;
          const keyspaces = new Map();
          for (const [name, level] of levels) {
            const table = data.tables[name];
            bytes += table.bytes;
            if (!keyspaces.has(table.keyspace)) keyspaces.set(table.keyspace, []);
            keyspaces.get(table.keyspace).push([level, name]);
          }
          by("edit").textContent = "edit " + (at + 1) + " of " + data.edits.length + " (" +
            edit.label + " at " + edit.offset + "): " + levels.size + " tables, "
            + bytes + " bytes";
          for (const [keyspace, all] of [...keyspaces].sort()) {
            const title = parent.appendChild(document.createElement("h2"));
            title.textContent = keyspace;
            for (let level = 0; level < 7; level++) {
              const names = all.filter(item => item[0] === level).map(item => item[1]);
              const size = names.reduce((sum, name) => sum + data.tables[name].bytes, 0);
              if (names.length === 0) continue;
              if (level > 0) {
                lane(parent, "level " + level + ": " + names.length + ", " + size, names, fresh);
                continue;
              }
              names.sort((a, b) => data.tables[b].maxSequence - data.tables[a].maxSequence);
              for (const name of names) lane(parent, "level 0", [name], fresh);
            }
          }
        }
        function step(count) { slider.value = Number(slider.value) + count; show(); }
        slider.oninput = show;
        by("back").onclick = () => step(-1);
        by("next").onclick = () => step(1);
        slider.value = slider.max;
        show();
        </script>
        </html>

        """
}

extension ManifestInspector {
    /// `db lsm --html`: writes the page of the one tree under `path` to a new file.
    func writePage(_ path: String, to target: String) throws {
        let trees = try places.manifests(path)
        guard trees.count == 1 else {
            throw UsageMistake("a page shows one tree, and under \(path) there are \(trees.count)")
        }
        if try places.fileSystem.exists(target) {
            throw UsageMistake("\(target) is there already; name a new file")
        }
        try each(path) { directory, id, manifest in
            var page = ShapePage(keys: keys)
            try ManifestReader.read(
                fileSystem: places.fileSystem, directory: directory, id: id
            ) { offset, edit in page.take(edit, at: offset) }
            let file = try places.fileSystem.open(target, .create)
            defer { file.close() }
            try file.write(Array(page.html(title: manifest).utf8), at: 0)
            report.add("page", "\(manifest): written to \(target)", [("file", .text(target))])
        }
    }
}
