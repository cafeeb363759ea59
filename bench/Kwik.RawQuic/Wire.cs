using System.Net.Security;

namespace Kwik.RawQuic;

/// <summary>What the two processes agree on.</summary>
internal static class Wire
{
    /// <summary>First byte of a stream on which the client writes, and the server reads to the end and reports.</summary>
    public const byte Bulk = 1;

    /// <summary>First byte of a stream on which the server sends everything back.</summary>
    public const byte Echo = 2;

    /// <summary>First byte of a stream that carries one request, and one answer of <see cref="EchoSize"/>.</summary>
    public const byte Request = 3;

    /// <summary>First byte of a stream on which the server answers one byte, and then nothing until the client ends it.</summary>
    public const byte Idle = 4;

    /// <summary>Streams that a client may have open at once, the most that System.Net.Quic allows.</summary>
    public const int MaxStreams = ushort.MaxValue;

    /// <summary>The size of the bulk writes, and of the reads at the server.</summary>
    public const int BulkSize = 64 * 1024;

    public const int EchoSize = 1024;

    /// <summary>The server's report: bytes read, 64 bits.</summary>
    public const int ReportSize = 8;

    public static readonly SslApplicationProtocol Protocol = new("kwik-raw");

    /// <summary>Bytes of this process that are in memory, after a full collection: the native library's too.</summary>
    public static long ResidentBytes()
    {
        for (int i = 0; i < 3; i++)
        {
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            GC.WaitForPendingFinalizers();
        }

        return Environment.WorkingSet;
    }
}
