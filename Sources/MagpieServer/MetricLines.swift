/// Lines of the Prometheus format: gauges under their names.
struct MetricLines {
    private(set) var text = ""
    private var name = ""

    mutating func start(_ name: String, _ help: String) {
        self.name = name
        text += "# HELP magpie_\(name) \(help)\n# TYPE magpie_\(name) gauge\n"
    }

    mutating func add(_ value: UInt64, _ labels: String) {
        text += "magpie_\(name){\(labels)} \(value)\n"
    }

    mutating func add(_ name: String, _ help: String, _ value: UInt64) {
        start(name, help)
        text += "magpie_\(name) \(value)\n"
    }
}
