import ChatModel
import Foundation
import NIOCore
import NIOPosix
import Testing

@testable import Gateway

/// A gateway before a node in memory, for measurements from outside: with `MAGPIE_PROBE_PORT` set
/// it serves on that port until the process ends.
@Suite(.timeLimit(.minutes(30)))
struct GatewayProbeTests {
    private static let port = ProcessInfo.processInfo.environment["MAGPIE_PROBE_PORT"]
        .flatMap { Int($0) }

    @Test("a gateway is served for measuring", .enabled(if: port != nil))
    func serve() async throws {
        let node = FakeNode {
            $0.isRateLimited = false
            $0.heartbeatSeconds = 3_600
        }
        try await withGateway(
            node: node,
            configure: {
                $0.port = Self.port ?? 0
                $0.headerTimeout = .hours(1)
            }
        ) { gateway in
            let held = try await gateway.connect()
            #expect(try await held.request("GET", "/healthz").status == 200)
            // Keeps serving: the connection ends only with the gateway.
            _ = await held.readToEnd()
        }
    }
}
