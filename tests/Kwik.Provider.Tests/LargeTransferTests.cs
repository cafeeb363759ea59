using System.Diagnostics;
using System.Globalization;
using System.Net.Quic;

namespace Kwik.Provider.Tests;

/// <summary>
/// More bytes on one connection than one key may protect (RFC 9001, section 6.6): with packets of a usual size, AES-GCM's limit
/// of 2^23 packets comes after about 12 GB, and without a key update the connection would end there.
/// </summary>
public sealed class LargeTransferTests
{
    /// <summary>Set to 1, the long one runs: about a minute or two on loopback.</summary>
    private const string Variable = "KWIK_LARGE_TRANSFERS";

    /// <summary>A prime, so that what is lost or repeated does not fall on the pattern's own period.</summary>
    private const int Period = 1_000_003;

    [Theory]
    [InlineData(300_000_000L)]
    [InlineData(20_000_000_000L)]
    public async Task Bulk_OnOneStream_EveryByteArrives(long length)
    {
        Assert.SkipUnless(
            length < 1_000_000_000 || Environment.GetEnvironmentVariable(Variable) == "1", $"Takes minutes; {Variable}=1 runs it.");
        byte[] once = Content.Bytes(seed: 1, Period);
        byte[] pattern = [.. once, .. once];
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server, QuicStreamType.Unidirectional);
        await using (local)
        await using (peer)
        {
            long start = Stopwatch.GetTimestamp();
            Task write = WriteAsync(local, pattern, length);
            var buffer = new byte[256 * 1024];
            long offset = 0;
            for (int read; (read = await peer.ReadAsync(buffer).Bounded()) > 0; offset += read)
            {
                bool same = buffer.AsSpan(0, read).SequenceEqual(pattern.AsSpan((int)(offset % Period), read));
                Assert.True(same, $"The bytes at {offset} are wrong.");
            }

            await write.Bounded();
            Assert.Equal(length, offset);
            TestContext.Current.TestOutputHelper?.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"{length:n0} bytes in {Stopwatch.GetElapsedTime(start).TotalSeconds:f1} s"));
        }

        await pair.Client.AssertAliveAsync(pair.Server);
    }

    private static async Task WriteAsync(QuicStream stream, byte[] pattern, long length)
    {
        const int Chunk = 256 * 1024;
        for (long offset = 0; offset < length; offset += Chunk)
        {
            int part = (int)Math.Min(Chunk, length - offset);
            await stream.WriteAsync(pattern.AsMemory((int)(offset % Period), part), completeWrites: offset + part == length).Bounded();
        }
    }
}
