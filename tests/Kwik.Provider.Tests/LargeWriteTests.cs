using System.Net.Quic;

namespace Kwik.Provider.Tests;

/// <summary>Writes far above every window and buffer.</summary>
public sealed class LargeWriteTests
{
    private const int Large = 3 * 1024 * 1024;

    [Theory]
    [InlineData(37)]
    [InlineData(1_001)]
    [InlineData(1024 * 1024)]
    public async Task Write_ThreeMegabytesAtOnce_ReachesAReaderOfAnyBufferSize(int bufferSize)
    {
        await using Loopback pair = await Loopback.StartAsync();
        await using QuicStream writer = await pair.Client.OpenOutboundStreamAsync(QuicStreamType.Unidirectional).Bounded();
        Task write = writer.WriteContentAsync(seed: 3, Large);
        await using QuicStream reader = await pair.Server.AcceptInboundStreamAsync().Bounded();

        await reader.AssertContentAsync(seed: 3, Large, bufferSize);

        await write;
    }

    [Fact]
    public async Task Write_ThreeMegabytesBothWaysAtOnce_BothArrive()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            await Task.WhenAll(
                local.WriteContentAsync(seed: 1, Large),
                peer.WriteContentAsync(seed: 2, Large),
                local.AssertContentAsync(seed: 2, Large, bufferSize: 10_000),
                peer.AssertContentAsync(seed: 1, Large, bufferSize: 10_000)).Bounded();
        }
    }

    [Fact]
    public async Task Write_OfOneByteTenThousandTimes_KeepsEveryByte()
    {
        const int Length = 10_000;
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream writer, QuicStream reader) = await pair.Client.OpenPairAsync(pair.Server, QuicStreamType.Unidirectional);
        await using (writer)
        await using (reader)
        {
            Task check = reader.AssertContentAsync(seed: 5, Length);
            byte[] bytes = Content.Bytes(seed: 5, Length);

            for (int i = 0; i < Length; i++)
            {
                await writer.WriteAsync(bytes.AsMemory(i, 1)).Bounded();
            }

            writer.CompleteWrites();
            await check.Bounded();
        }
    }

    [Fact]
    public async Task Write_NobodyReads_StopsAtTheWindowAndGoesOnWhenReadingStarts()
    {
        // The windows are 16 MiB a connection and 64 KiB a stream, and the library may hold some more; 32 MiB is beyond all.
        const int Chunk = 64 * 1024;
        const int Chunks = 512;
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream writer, QuicStream reader) = await pair.Client.OpenPairAsync(pair.Server, QuicStreamType.Unidirectional);
        await using (writer)
        await using (reader)
        {
            int written = 0;
            Task write = WriteAllAsync();

            // Round trips beside it: time for all that could be sent, and proof that the rest of the connection lives.
            for (int i = 0; i < 50; i++)
            {
                await pair.Client.AssertAliveAsync(pair.Server);
            }

            Assert.True(Volatile.Read(ref written) < Chunks / 2, $"{written} chunks of 64 KiB were taken and nobody had read any.");
            await reader.AssertContentAsync(seed: 9, Chunk * (long)Chunks);
            await write.Bounded();

            async Task WriteAllAsync()
            {
                var chunk = new byte[Chunk];
                for (int i = 0; i < Chunks; i++)
                {
                    Content.Fill(chunk, seed: 9, offset: (long)i * Chunk);
                    await writer.WriteAsync(chunk, completeWrites: i == Chunks - 1);
                    Interlocked.Increment(ref written);
                }
            }
        }
    }

    [Fact]
    public async Task Write_BufferChangedAfterItCompleted_DoesNotChangeWhatArrives()
    {
        const int Chunk = 10_000;
        const int Chunks = 200;
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream writer, QuicStream reader) = await pair.Client.OpenPairAsync(pair.Server, QuicStreamType.Unidirectional);
        await using (writer)
        await using (reader)
        {
            Task check = reader.AssertContentAsync(seed: 4, (long)Chunk * Chunks);
            var buffer = new byte[Chunk];

            for (int i = 0; i < Chunks; i++)
            {
                Content.Fill(buffer, seed: 4, offset: (long)i * Chunk);
                await writer.WriteAsync(buffer).Bounded();
                buffer.AsSpan().Fill(0xEE);
            }

            writer.CompleteWrites();
            await check.Bounded();
        }
    }
}
