/// The page of the storage rows.
extension ResultPage {
    /// Plots and tables of a run.
    init(table: ResultTable, command: [String]) {
        let verdicts = GoalResults(results: table.results)
        self.init(
            title: "Magpie: storage benchmark", heading: "Storage beside RocksDB and LevelDB",
            summary: Self.summary(table, verdicts), command: command,
            plots: [
                Plot(
                    title: "Against the best peer", note: Self.barsNote,
                    svg: Self.ratios(table, verdicts)),
                Plot(
                    title: "Processor time against the thriftiest peer", note: Self.cpuNote,
                    svg: Self.costs(table, verdicts)),
                Plot(title: "Latency", note: Self.latencyNote, svg: Self.latencies(table)),
            ],
            sections: table.sections, setting: table.setting)
    }

    private static let barsNote = """
        Medians; a bar to the right of 1 is a win, to the left a loss. The diamond is the row's \
        goal. Logarithmic. Rows whose unit is better when smaller are turned round.
        """
    private static let cpuNote = """
        Processor seconds for an operation, the thriftiest peer's over Magpie's: to the right of 1 \
        Magpie uses less.
        """
    private static let latencyNote = """
        From p50 over p99 (thick) to p99.9 and the maximum (thin), in microseconds, logarithmic. \
        Rows at a fixed rate count from the intended start.
        """

    /// How many rows were won, lost, and how many goals reached.
    private static func summary(_ table: ResultTable, _ verdicts: GoalResults) -> String {
        let ratios = table.measured.compactMap { verdicts.advantage($0) }
        let judged = verdicts.all.compactMap(\.isReached)
        return
            "\(ratios.count { $0 >= 1 }) rows won and \(ratios.count { $0 < 1 }) lost against the "
            + "best peer; \(judged.count { $0 }) of \(judged.count) goals reached. Only ratios "
            + "inside one run mean something."
    }

    /// How many times better than the best peer each row is, with its goal.
    private static func ratios(_ table: ResultTable, _ verdicts: GoalResults) -> String {
        ResultPlots.bars(
            table.measured.compactMap { workload in
                verdicts.advantage(workload).map {
                    .init(label: workload.rawValue, ratio: $0, goal: GoalResults.ratio(workload))
                }
            })
    }

    /// The same of processor seconds.
    private static func costs(_ table: ResultTable, _ verdicts: GoalResults) -> String {
        ResultPlots.bars(
            table.measured.compactMap { workload in
                verdicts.advantage(workload, isLowerBetter: true, \.cpuSecondsPerMillion).map {
                    .init(label: workload.rawValue, ratio: $0, goal: nil)
                }
            })
    }

    private static func latencies(_ table: ResultTable) -> String {
        ResultPlots.latencies(
            table.measured.map { workload in
                let results = table.columns.compactMap { table.find(workload, $0) }
                return (
                    label: workload.rawValue,
                    ranges: results.filter { $0.maxUs > 0 }.map { result in
                        .init(
                            engine: result.engine,
                            number: EngineKind.allCases.firstIndex { $0.rawValue == result.engine }
                                ?? EngineKind.allCases.count,
                            percentiles: [
                                result.p50Us, result.p99Us, result.p999Us, result.maxUs,
                            ])
                    }
                )
            })
    }
}
