import Bytes
import Gateway
import NIOCore

/// The web client's files, built into the program, so that every node serves it with nothing
/// beside it.
enum WebClient {
    /// The files by path.
    static let files: [String: StaticFile] = {
        var files: [String: StaticFile] = [:]
        for (name, bytes) in content {
            files["/" + name] = StaticFile(
                bytes: ByteBuffer(bytes: bytes), type: type(of: name),
                etag: "\"\(String(Checksum.xxh3(bytes), radix: 36))\"")
        }
        return files
    }()

    private static let content: [(String, [UInt8])] = [
        ("index.html", PackageResources.index_html),
        ("style.css", PackageResources.style_css),
        ("icon.svg", PackageResources.icon_svg),
        ("app.js", PackageResources.app_js),
        ("api.js", PackageResources.api_js),
        ("dom.js", PackageResources.dom_js),
        ("list.js", PackageResources.list_js),
        ("pane.js", PackageResources.pane_js),
        ("search.js", PackageResources.search_js),
        ("socket.js", PackageResources.socket_js),
        ("store.js", PackageResources.store_js),
    ]

    private static func type(of name: String) -> String {
        switch name.split(separator: ".").last {
        case "html": "text/html; charset=utf-8"
        case "css": "text/css; charset=utf-8"
        case "js": "text/javascript; charset=utf-8"
        case "svg": "image/svg+xml"
        default: "application/octet-stream"
        }
    }
}
