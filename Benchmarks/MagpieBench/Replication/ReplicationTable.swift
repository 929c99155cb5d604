import Foundation

/// The results as tables in Markdown.
struct ReplicationTable {
    let report: ReplicationReport

    private var engines: [ReplicationEngine] {
        ReplicationEngine.allCases.filter { engine in
            report.loads.contains { $0.engine == engine }
                || report.kills.contains { $0.engine == engine }
        }
    }

    private var levels: [Int] {
        report.loads.map(\.inFlight).reduce(into: []) { levels, level in
            if !levels.contains(level) { levels.append(level) }
        }
    }

    /// All lines.
    var lines: [String] {
        var lines: [String] = head
        if !report.loads.isEmpty {
            lines += section(
                "Acknowledged messages a second, median (least - most)", ratio: .rate
            ) {
                spread($0.acknowledgedPerSecond)
            }
            lines += section("Latency in microseconds, p50 / p99 / p99.9") { result in
                [result.p50Us, result.p99Us, result.p999Us]
                    .map { number($0.median) }.joined(separator: " / ")
            }
            lines += section(
                "Processor seconds of the three servers per 1,000 messages", ratio: .cost
            ) {
                decimals($0.serverCPUSecondsPerThousand.median)
            }
            lines += section("Processor seconds of the load generator per 1,000 messages") {
                decimals($0.clientCPUSecondsPerThousand.median)
            }
            lines += section("Processors kept busy by others meanwhile (whole machine)") {
                String(format: "%.2f", $0.processorsOfOthers.median)
            }
            lines += section("Bytes and flushes of the device per message (whole machine)") {
                number($0.deviceBytesPerMessage.median) + " / "
                    + String(format: "%.2f", $0.deviceFlushesPerMessage.median)
            }
            lines += section("Resident MiB of the three servers") {
                number($0.residentBytes.median / 1_048_576)
            }
        }
        if !report.kills.isEmpty { lines += killSection }
        return lines
    }

    private var head: [String] {
        let setup = report.setup
        func rates(_ values: [Double]) -> String {
            values.map { number($0) }.joined(separator: ", ")
        }
        var lines = [
            "\(setup.cpu), kernel \(setup.kernel); load average \(setup.loadAverageBefore) before, "
                + "\(setup.loadAverageAfter) after.",
            "fdatasync of 300 B a second: \(rates(setup.syncsPerSecondAlone)) alone; "
                + "\(rates(setup.syncsPerSecondOfThree)) in each of three processes at once.",
            "\(setup.repetitions) repetitions of \(number(setup.seconds)) s, fresh servers each, "
                + "after \(number(setup.warmUpSeconds)) s of load that do not count.",
        ]
        for engine in engines {
            lines.append(
                "\(engine.rawValue): \(setup.versions[engine.rawValue] ?? ""); "
                    + "\(setup.settings[engine.rawValue] ?? ""). "
                    + "Acknowledged: \(engine.durability)."
            )
        }
        return lines
    }

    private enum Ratio {
        case rate
        case cost
    }

    private func section(
        _ title: String, ratio: Ratio? = nil, _ cell: (LoadResult) -> String
    ) -> [String] {
        let peers = ratio == nil ? [] : [ReplicationEngine.etcd, .nats].filter(engines.contains)
        var rows = [
            ["in flight"] + engines.map(\.rawValue) + peers.map { "magpie / \($0.rawValue)" }
        ]
        for level in levels {
            func result(_ engine: ReplicationEngine) -> LoadResult? {
                report.loads.first { $0.engine == engine && $0.inFlight == level }
            }
            var row = ["\(level)"] + engines.map { result($0).map(cell) ?? "-" }
            for peer in peers {
                row.append(self.ratio(ratio, result(.magpie), result(peer)))
            }
            rows.append(row)
        }
        return ["", title, ""] + ResultTable.aligned(rows)
    }

    private func ratio(_ ratio: Ratio?, _ own: LoadResult?, _ peer: LoadResult?) -> String {
        guard let ratio, let own, let peer else { return "-" }
        let value =
            switch ratio {
            case .rate: own.acknowledgedPerSecond.median / peer.acknowledgedPerSecond.median
            case .cost:
                own.serverCPUSecondsPerThousand.median / peer.serverCPUSecondsPerThousand.median
            }
        let isLoss = ratio == .rate ? value < 1 : value > 1
        return String(format: "%.2f", value) + (isLoss ? " loss" : "")
    }

    private var killSection: [String] {
        var rows = [
            [
                "kill -9 of the leader", "longest wait s", "nobody served s", "messages", "lost",
                "repeated", "unanswered",
            ]
        ]
        for result in report.kills {
            func seconds(_ value: Spread) -> String {
                String(format: "%.2f (%.2f - %.2f)", value.median, value.min, value.max)
            }
            rows.append([
                result.engine.rawValue, seconds(result.longestWaitSeconds),
                seconds(result.nobodyServedSeconds), "\(result.messages)", "\(result.lost)",
                result.repeated.map { "\($0)" } ?? "cannot tell", "\(result.unanswered)",
            ])
        }
        return ["", "The leader killed at \(ReplicationRun.killInFlight) in flight", ""]
            + ResultTable.aligned(rows)
            + report.kills.map { "\($0.engine.rawValue): \($0.check), \($0.runs) tries." }
    }

    private func spread(_ value: Spread) -> String {
        "\(number(value.median)) (\(number(value.min)) - \(number(value.max)))"
    }

    private func decimals(_ value: Double) -> String { String(format: "%.3f", value) }

    private func number(_ value: Double) -> String { ResultTable.number(value) }
}
