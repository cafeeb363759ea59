using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Streams.Tests;

/// <summary>An Internal stream as its server has it, and the client's end of its transport, which the test reads.</summary>
internal sealed class SecondaryPair : IAsyncDisposable
{
    private readonly MemoryTransportStream _client;
    private readonly MemoryTransportStream _server;
    private readonly FrameReader _frames;
    private bool _begun;

    public SecondaryPair(int window = 1024 * 1024)
    {
        (_client, _server) = MemoryTransportStream.CreatePair(window);
        _frames = new FrameReader(_client, Pool);
        Stream = new SecondaryStream(_server, Pool, closed =>
        {
            Assert.Same(Stream, closed);
            Closed++;
        });
    }

    public LeasePool Pool { get; } = new();

    public SecondaryStream Stream { get; }

    /// <summary>Times that the stream said it was closed.</summary>
    public int Closed { get; private set; }

    /// <summary>Writes that the transport has taken completely.</summary>
    public int Writes => _server.Outgoing.Writes;

    /// <summary>The next frame and its payload; null at the end. Checks the header before the first.</summary>
    public async Task<(StreamFrame Frame, byte[] Payload)?> ReadAsync()
    {
        if (!_begun)
        {
            Assert.True(StreamHeader.TryRead(await _client.ReadExactlyAsync(StreamHeader.Size).WithinAsync(), out StreamHeader header));
            Assert.Equal(StreamType.Internal, header.Type);
            _begun = true;
        }

        if (await _frames.ReadFrameAsync().WithinAsync() is not { } frame)
        {
            return null;
        }

        var pieces = new List<Lease>();
        if (frame.Type == StreamFrameType.Data)
        {
            Assert.True(frame.HasChecksum);
            await _frames.ReadPayloadAsync(frame, pieces).WithinAsync();
        }

        byte[] payload = [.. pieces.SelectMany(piece => piece.Memory.ToArray())];
        pieces.ForEach(piece => piece.Return());
        return (frame, payload);
    }

    /// <summary>The next frame is this one; of data, its sum is left out of the comparison.</summary>
    public async Task<byte[]> ExpectAsync(StreamFrame expected)
    {
        (StreamFrame frame, byte[] payload) = (await ReadAsync())!.Value;
        uint? sum = frame.HasChecksum ? frame.Checksum : null;
        Assert.Equal(expected.Type == StreamFrameType.Data ? StreamFrame.Data(expected.DataLength, expected.Offset, sum) : expected, frame);
        return payload;
    }

    public async Task ExpectEndAsync() => Assert.Null(await ReadAsync());

    /// <summary>The client does not want the stream.</summary>
    public void Refuse(KwikError code) => _client.AbortReads(code);

    public async ValueTask DisposeAsync()
    {
        await Stream.DisposeAsync().AsTask().WithinAsync();
        Assert.Equal(1, Closed);
        Assert.Equal(0, Pool.Outstanding);
    }
}
