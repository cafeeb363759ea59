using System.Net.Quic;

namespace Kwik.Provider.Tests;

/// <summary>Reads of nothing, at the end, and two at a time.</summary>
public sealed class ReadTests
{
    [Fact]
    public async Task Read_IntoAnEmptyBuffer_CompletesWhenBytesArriveAndTakesNone()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream writer, QuicStream reader) = await pair.Client.OpenPairAsync(pair.Server);
        await using (writer)
        await using (reader)
        {
            for (int i = 0; i < 100; i++)
            {
                Task<int> nothing = reader.ReadAsync(Memory<byte>.Empty).AsTask();

                await writer.WriteContentAsync(seed: i, length: 100, completeWrites: false);

                Assert.Equal(0, await nothing.Bounded());
                await reader.AssertNextAsync(seed: i, length: 100);
            }
        }
    }

    [Fact]
    public async Task Read_IntoAnEmptyBufferWithBytesThere_CompletesAndTakesNone()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream writer, QuicStream reader) = await pair.Client.OpenPairAsync(pair.Server);
        await using (writer)
        await using (reader)
        {
            await writer.WriteContentAsync(seed: 1, length: 100);
            Assert.Equal(0, await reader.ReadAsync(Memory<byte>.Empty).Bounded());
            Assert.Equal(0, await reader.ReadAsync(Memory<byte>.Empty).Bounded());

            await reader.AssertContentAsync(seed: 1, length: 100);
        }
    }

    [Fact]
    public async Task Read_IntoAnEmptyBuffer_CompletesAtTheEnd()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream writer, QuicStream reader) = await pair.Client.OpenPairAsync(pair.Server);
        await using (writer)
        await using (reader)
        {
            Task<int> nothing = reader.ReadAsync(Memory<byte>.Empty).AsTask();

            writer.CompleteWrites();

            Assert.Equal(0, await nothing.Bounded());
            await reader.AssertContentAsync(seed: 0, length: 0);
        }
    }

    [Fact]
    public async Task Read_AfterTheEnd_IsTheEndAgain()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream writer, QuicStream reader) = await pair.Client.OpenPairAsync(pair.Server);
        await using (writer)
        await using (reader)
        {
            await writer.WriteContentAsync(seed: 1, length: 100);
            await reader.AssertContentAsync(seed: 1, length: 100);

            for (int i = 0; i < 3; i++)
            {
                Assert.Equal(0, await reader.ReadAsync(new byte[10]).Bounded());
            }
        }
    }

    [Fact]
    public async Task Read_WhileAnotherIsPending_ThrowsAndLeavesTheFirst()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream writer, QuicStream reader) = await pair.Client.OpenPairAsync(pair.Server);
        await using (writer)
        await using (reader)
        {
            var buffer = new byte[100];
            Task<int> first = reader.ReadAsync(buffer).AsTask();

            await Assert.ThrowsAsync<InvalidOperationException>(() => reader.ReadAsync(new byte[1]).Bounded());

            await writer.WriteContentAsync(seed: 1, length: 100);
            int read = await first.Bounded();
            Content.AssertAt(buffer.AsSpan(0, read), seed: 1, offset: 0);
        }
    }

    [Fact]
    public async Task Read_StoppedInTheMiddle_GoesOnWhereItWas()
    {
        // More than the 64 KiB that System.Net.Quic holds for a stream, so that the library has to keep the rest.
        const int Length = 1_000_000;
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream writer, QuicStream reader) = await pair.Client.OpenPairAsync(pair.Server, QuicStreamType.Unidirectional);
        await using (writer)
        await using (reader)
        {
            Task write = writer.WriteContentAsync(seed: 1, Length);
            var buffer = new byte[50_000];
            for (int offset = 0; offset < Length; offset += buffer.Length)
            {
                await reader.ReadExactlyAsync(buffer).Bounded();
                Content.AssertAt(buffer, seed: 1, offset);
                // Nobody reads meanwhile; the connection serves others.
                await pair.Client.AssertAliveAsync(pair.Server);
            }

            Assert.Equal(0, await reader.ReadAsync(buffer).Bounded());
            await write;
        }
    }
}
