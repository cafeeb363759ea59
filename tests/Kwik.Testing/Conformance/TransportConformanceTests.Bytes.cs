using System.Security.Cryptography;
using Kwik.Streams;
using Xunit;

namespace Kwik.Testing;

/// <summary>Reading and writing.</summary>
public abstract partial class TransportConformanceTests
{
    [Fact]
    public Task Bytes_Echoed_ComeBackThroughHalfClosedStreams() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync();
        (ITransportStream client, ITransportStream server) = await pair.OpenAsync();
        await client.WriteAsync(Bytes(10_000));
        client.CompleteWrites();
        client.CompleteWrites();
        byte[] request = await server.ReadToEndAsync();
        Assert.Equal(Bytes(10_000), request);
        await server.WriteAsync(request, completeWrites: true);
        Assert.Equal(request, await client.ReadToEndAsync());
        Assert.Equal(0, await client.ReadAsync(new byte[1]));
        Assert.Equal(0, await client.ReadAsync(Memory<byte>.Empty));
        await client.WritesClosed;
        await server.WritesClosed;
    });

    [Fact]
    public Task Bytes_BothWaysAtOnce_ArriveWhole() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync();
        (ITransportStream client, ITransportStream server) = await pair.OpenAsync();
        const int Size = 3_000_000;
        Task[] writes = [WriteAsync(client, 1), WriteAsync(server, 2)];
        Task<byte[]>[] reads = [HashAsync(server, Size), HashAsync(client, Size)];
        Assert.Equal(SHA256.HashData(Bytes(Size, 1)), await reads[0]);
        Assert.Equal(SHA256.HashData(Bytes(Size, 2)), await reads[1]);
        await writes[0];
        await writes[1];

        static async Task WriteAsync(ITransportStream stream, int seed)
        {
            ReadOnlyMemory<byte> rest = Bytes(Size, seed);
            for (int length = 1; !rest.IsEmpty; length = Math.Min(length * 3, rest.Length))
            {
                await stream.WriteAsync(rest[..length], completeWrites: length == rest.Length);
                rest = rest[length..];
            }
        }
    });

    [Fact]
    public Task Bytes_InManySmallWrites_ArriveInOrder() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync();
        (ITransportStream client, ITransportStream server) = await pair.OpenAsync(bidirectional: false);
        byte[] all = Bytes(3000);
        Task<byte[]> reading = server.ReadToEndAsync();
        for (int offset = 0; offset < all.Length; offset += 3)
        {
            await client.WriteAsync(all.AsMemory(offset, 3));
        }

        await client.WriteAsync(ReadOnlyMemory<byte>.Empty);
        await client.WriteAsync(ReadOnlyMemory<byte>.Empty, completeWrites: true);
        Assert.Equal(all, await reading);
    });

    [Fact]
    public Task Bytes_OnManyStreamsAtOnce_ComeBack() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync();
        Task serving = ServeAsync();
        await Task.WhenAll(Enumerable.Range(0, 50).Select(EchoAsync));
        await serving;

        async Task EchoAsync(int number)
        {
            ITransportStream stream = await pair.Client.OpenStreamAsync(bidirectional: true, CancellationToken.None);
            await stream.WriteAsync(Bytes(5000 + number, number), completeWrites: true);
            Assert.Equal(Bytes(5000 + number, number), await stream.ReadToEndAsync());
            await stream.DisposeAsync();
        }

        async Task ServeAsync()
        {
            var serving = new List<Task>();
            for (int number = 0; number < 50; number++)
            {
                serving.Add(AnswerAsync(await pair.Server.AcceptStreamAsync(CancellationToken.None)));
            }

            await Task.WhenAll(serving);
        }

        static async Task AnswerAsync(ITransportStream stream)
        {
            await stream.WriteAsync(await stream.ReadToEndAsync(), completeWrites: true);
            await stream.DisposeAsync();
        }
    });

    [Fact]
    public Task Read_OfNoBytes_WaitsForDataAndTakesNone() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync();
        (ITransportStream client, ITransportStream server) = await pair.OpenAsync();
        Task<int> waiting = server.ReadAsync(Memory<byte>.Empty).AsTask();
        await network.SettleAsync();
        Assert.False(waiting.IsCompleted);
        await client.WriteAsync(Bytes(10));
        Assert.Equal(0, await waiting);
        Assert.Equal(0, await server.ReadAsync(Memory<byte>.Empty));
        Assert.Equal(Bytes(10), await server.ReadExactlyAsync(10));

        waiting = server.ReadAsync(Memory<byte>.Empty).AsTask();
        client.CompleteWrites();
        Assert.Equal(0, await waiting);
        Assert.Equal(0, await server.ReadAsync(new byte[1]));
    });

    [Fact]
    public Task Read_WhileOnePends_Throws() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync();
        (ITransportStream client, ITransportStream server) = await pair.OpenAsync();
        byte[] buffer = new byte[10];
        Task<int> first = server.ReadAsync(buffer).AsTask();
        await ThrowsInvalidOperation(async () => await server.ReadAsync(new byte[10]));
        await client.WriteAsync(Bytes(10));
        int read = await first;
        Assert.Equal(Bytes(10)[..read], buffer[..read]);
    });

    [Fact]
    public Task Write_BeyondTheWindow_WaitsForTheReader() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync(listen: options => options with { StreamWindow = 64 * 1024 });
        (ITransportStream client, ITransportStream server) = await pair.OpenAsync();
        const int Size = 2_000_000;
        (Task writing, int count) = await WriteUntilPendingAsync(network, client, Bytes(Size));
        await ThrowsInvalidOperation(async () => await client.WriteAsync(new byte[1]));
        Assert.False(client.WritesClosed.IsCompleted);
        Task<byte[]> reading = HashAsync(server, count * Size);
        await writing;
        client.CompleteWrites();
        Assert.Equal(SHA256.HashData([.. Enumerable.Repeat(Bytes(Size), count).SelectMany(bytes => bytes)]), await reading);
        await client.WritesClosed;
    });

    [Fact]
    public Task Write_OnAStreamThatNobodyReads_LeavesOthersFree() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync(listen: options => options with { StreamWindow = 64 * 1024 });
        (ITransportStream stuck, _) = await pair.OpenAsync();
        (Task writing, _) = await WriteUntilPendingAsync(network, stuck, Bytes(1_000_000));
        (ITransportStream client, ITransportStream server) = await pair.OpenAsync();
        Task other = client.WriteAsync(Bytes(500_000), completeWrites: true).AsTask();
        Assert.Equal(SHA256.HashData(Bytes(500_000)), await HashAsync(server, 500_000));
        await other;
        Assert.False(writing.IsCompleted);
        stuck.AbortWrites(Data.KwikError.Cancelled);
        await ConformanceNetwork.FailureAsync(writing);
    });

    [Fact]
    public Task WritesClosed_UnderAReaderThatReadsLate_EndsAfterIt() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync();
        (ITransportStream client, ITransportStream server) = await pair.OpenAsync(bidirectional: false);
        await client.WriteAsync(Bytes(1000));
        await network.SettleAsync();
        Assert.False(client.WritesClosed.IsCompleted);
        client.CompleteWrites();
        await client.WritesClosed;
        Assert.Equal(Bytes(1000), await server.ReadToEndAsync());
    });

    private static async Task<byte[]> HashAsync(ITransportStream stream, int size)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] buffer = new byte[16 * 1024];
        int total = 0;
        while (await stream.ReadAsync(buffer) is int read and > 0)
        {
            hash.AppendData(buffer, 0, read);
            total += read;
        }

        Assert.Equal(size, total);
        return hash.GetHashAndReset();
    }
}
