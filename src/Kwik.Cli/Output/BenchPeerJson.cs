namespace Kwik.Cli.Output;

/// <summary>What a client of the comparisons answers to its parent. Times are from the request.</summary>
internal sealed record PeerDownloadJson(long Bytes, double FirstByteSeconds, double LastByteSeconds, long BitsPerSecond);

/// <summary><c>bench single --json</c>. A gigabyte is 10^9 bytes; memory is of client and server together.</summary>
internal sealed record SingleJson
{
    public required LibraryJson Provider { get; init; }

    public required int Runs { get; init; }

    public required double Seconds { get; init; }

    public required long RawBitsPerSecond { get; init; }

    public required long KwikBitsPerSecond { get; init; }

    public required double Ratio { get; init; }

    public required double RatioBar { get; init; }

    public required double RawCpuSecondsPerGb { get; init; }

    public required double KwikCpuSecondsPerGb { get; init; }

    public required double CpuRatio { get; init; }

    public required double CpuBar { get; init; }

    public required long RawPeakRssBytes { get; init; }

    public required long KwikPeakRssBytes { get; init; }

    public required double PeakRssRatio { get; init; }

    public required double PeakRssBar { get; init; }

    public required OfferedJson Offered { get; init; }

    /// <summary>Every bar holds.</summary>
    public required bool Met { get; init; }

    public required List<SingleRunJson> Measurements { get; init; }
}

/// <summary>A file, every leaf of which both sides hash; without a bar.</summary>
internal sealed record OfferedJson(long BitsPerSecond, double Ratio, double CpuSecondsPerGb, double CpuRatio, long PeakRssBytes);

/// <summary>One download: rate from its first byte to its last.</summary>
internal sealed record SingleRunJson(
    int Run,
    string Name,
    long Bytes,
    double Seconds,
    long BitsPerSecond,
    double ClientCpuSeconds,
    double ServerCpuSeconds,
    double CpuSecondsPerGb);

/// <summary><c>bench latency --json</c>. Times are in microseconds.</summary>
internal sealed record LatencyJson(
    LibraryJson Provider,
    int Echoes,
    double RawP50Us,
    double RawP99Us,
    double KwikP50Us,
    double KwikP99Us,
    double AddedP50Us,
    double AddedP50Bar,
    double AddedP99Us,
    double AddedP99Bar,
    bool Met);

/// <summary><c>bench raw --json</c>. Memory is of client and server together.</summary>
internal sealed record RawJson(
    LibraryJson Provider,
    int Runs,
    double Seconds,
    long RawBitsPerSecond,
    double RawCpuSecondsPerGb,
    long RawPeakRssBytes,
    double RawP50Us,
    double RawP99Us,
    double RawConnectP50Us,
    double RawStreamsPerSecond,
    List<SingleRunJson> Measurements);
