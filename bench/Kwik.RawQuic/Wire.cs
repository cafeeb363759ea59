using System.Diagnostics;
using System.Net.Security;

namespace Kwik.RawQuic;

/// <summary>What the two processes agree on.</summary>
internal static class Wire
{
    /// <summary>First byte of a stream on which the client writes, and the server reads to the end and reports.</summary>
    public const byte Bulk = 1;

    /// <summary>First byte of a stream on which the server sends everything back.</summary>
    public const byte Echo = 2;

    /// <summary>The size of the bulk writes, and of the reads at the server.</summary>
    public const int BulkSize = 64 * 1024;

    public const int EchoSize = 1024;

    /// <summary>The server's report: bytes read, then the processor time that it took in ticks, both 64 bits.</summary>
    public const int ReportSize = 16;

    public static readonly SslApplicationProtocol Protocol = new("kwik-raw");

    /// <summary>Processor time of this process so far, all threads: the native library's too.</summary>
    public static TimeSpan ProcessorTime()
    {
        using Process self = Process.GetCurrentProcess();
        return self.TotalProcessorTime;
    }
}
