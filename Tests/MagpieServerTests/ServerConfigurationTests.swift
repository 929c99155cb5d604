import Foundation
import Testing

@testable import MagpieServer

@Suite struct ServerConfigurationTests {
    @Test(
        "An address is HOST:PORT, an IPv6 host in brackets",
        arguments: [
            ("127.0.0.1:8080", "127.0.0.1", 8080), ("[::1]:0", "::1", 0),
            ("localhost:65535", "localhost", 65_535),
        ])
    func addresses(text: String, host: String, port: Int) throws {
        let address = try ServerConfiguration.address(text)
        #expect(address.host == host && address.port == port)
    }

    @Test(
        "What is no address is refused with an example",
        arguments: ["", ":80", "host", "host:", "host:65536", "host:-1", "host:x"])
    func noAddresses(text: String) {
        #expect(throws: ConfigurationError.self) { try ServerConfiguration.address(text) }
    }

    private func file(_ json: String) throws -> ServerConfiguration.File {
        try ServerConfiguration.File(json: Data(json.utf8))
    }

    private static let cluster = """
        {"name":"c","number":1,"nodes":[{"number":1,"peer":"a:1","url":"http://a"}]}
        """

    @Test("A configuration file says what it says, and null is absent")
    func files() throws {
        let file = try file(
            #"{"data":"d","memory":64,"rateLimits":false,"scrub":null,"cluster":\#(Self.cluster)}"#)
        #expect(file.data == "d" && file.memory == 64 && file.rateLimits == false)
        #expect(file.scrub == nil && file.listen == nil)
        #expect(file.cluster?.nodes.map(\.peer) == ["a:1"])
        #expect(try self.file("{}").data == nil)
    }

    @Test(
        "What a configuration file has wrong is named in words",
        arguments: [
            ("{", "the file is not JSON"),
            ("[]", "expected an object"),
            (#"{"memroy":64}"#, "memroy: there is no such key; known are data, listen"),
            (#"{"memory":"64"}"#, "memory: expected a whole number"),
            (#"{"memory":1}"#, "memory: 64 to 1048576 megabytes"),
            (#"{"diskBudget":5}"#, "diskBudget: at least 1024 megabytes"),
            (#"{"scrub":-1}"#, "scrub: 0 to 1024"),
            (#"{"presenceTtl":0}"#, "presenceTtl: 1 to 86400"),
            (#"{"rateLimits":1}"#, "rateLimits: expected true or false"),
            (#"{"origins":"x"}"#, "origins: expected a list"),
            (#"{"cluster":{"name":"c"}}"#, "cluster.number is missing"),
            (
                #"{"cluster":{"name":"c","number":1,"nodes":[{"number":"1"}]}}"#,
                "cluster.nodes.1.number: expected a whole number"
            ),
            (
                #"{"cluster":\#(Self.cluster.replacing("{\"number", with: "{\"x\":1,\"number"))}"#,
                "cluster.nodes.x: there is no such key; known are number, peer, url"
            ),
            (
                #"{"cluster":{"name":"c","number":1,"nodes":[],"tls":{"cert":"x"}}}"#,
                "cluster.tls.ca is missing"
            ),
        ])
    func wrongFiles(json: String, expected: String) throws {
        let error = try #require(throws: ConfigurationError.self) { try file(json) }
        #expect("\(error)".contains(expected), "\(error)")
    }
}
