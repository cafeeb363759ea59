using System.Net.Quic;

namespace Kwik.Provider.Tests;

/// <summary>What the tests do to streams again and again, each wait bounded.</summary>
internal static class StreamExtensions
{
    /// <summary>Opens a stream and writes one byte, without which the peer learns nothing of it; then accepts it there.</summary>
    public static async Task<(QuicStream Local, QuicStream Peer)> OpenPairAsync(
        this QuicConnection connection,
        QuicConnection peer,
        QuicStreamType type = QuicStreamType.Bidirectional)
    {
        QuicStream local = await connection.OpenOutboundStreamAsync(type).Bounded();
        await local.WriteAsync(new byte[1]).Bounded();
        QuicStream accepted = await peer.AcceptInboundStreamAsync().Bounded();
        await accepted.ReadExactlyAsync(new byte[1]).Bounded();
        return (local, accepted);
    }

    public static Task WriteContentAsync(this QuicStream stream, long seed, int length, bool completeWrites = true) =>
        stream.WriteAsync(Content.Bytes(seed, length), completeWrites).Bounded();

    /// <summary>Writes content until the task is done, however it ended, and completes; returns the number of bytes.</summary>
    public static async Task<long> WriteContentUntilAsync(this QuicStream stream, long seed, Task done)
    {
        var piece = new byte[16 * 1024];
        long offset = 0;
        for (; !done.IsCompleted; offset += piece.Length)
        {
            Content.Fill(piece, seed, offset);
            await stream.WriteAsync(piece).Bounded();
        }

        stream.CompleteWrites();
        return offset;
    }

    /// <summary>Reads to the end and checks every byte on the way.</summary>
    public static async Task AssertContentAsync(this QuicStream stream, long seed, long length, int bufferSize = 64 * 1024) =>
        Assert.Equal(length, await stream.ReadContentAsync(seed, bufferSize));

    /// <summary>The same where only the writer knows how long it is; returns the number of bytes.</summary>
    public static async Task<long> ReadContentAsync(this QuicStream stream, long seed, int bufferSize = 64 * 1024)
    {
        var buffer = new byte[bufferSize];
        long offset = 0;
        for (int read; (read = await stream.ReadAsync(buffer).Bounded()) > 0; offset += read)
        {
            Content.AssertAt(buffer.AsSpan(0, read), seed, offset);
        }

        return offset;
    }

    /// <summary>Checks exactly the next bytes; the stream goes on after them.</summary>
    public static async Task AssertNextAsync(this QuicStream stream, long seed, int length)
    {
        var buffer = new byte[length];
        await stream.ReadExactlyAsync(buffer).Bounded();
        Content.AssertAt(buffer, seed, 0);
    }

    /// <summary>Sends back what comes, to the end; then ends too.</summary>
    public static async Task EchoAsync(this QuicStream stream)
    {
        var buffer = new byte[64 * 1024];
        for (int read; (read = await stream.ReadAsync(buffer).Bounded()) > 0;)
        {
            await stream.WriteAsync(buffer.AsMemory(0, read)).Bounded();
        }

        stream.CompleteWrites();
    }

    /// <summary>Writes until it fails; the failure is the result.</summary>
    public static async Task WriteForeverAsync(this QuicStream stream)
    {
        var chunk = new byte[64 * 1024];
        while (true)
        {
            await stream.WriteAsync(chunk);
        }
    }

    /// <summary>Reads until it fails or ends; returns the number of bytes before the end.</summary>
    public static async Task<long> ReadToEndAsync(this QuicStream stream)
    {
        var buffer = new byte[64 * 1024];
        long total = 0;
        for (int read; (read = await stream.ReadAsync(buffer)) > 0;)
        {
            total += read;
        }

        return total;
    }

    /// <summary>Content to an <see cref="EchoServer"/> and back, on a fresh stream.</summary>
    public static async Task AssertEchoAsync(this QuicConnection connection, long seed, int length)
    {
        await using QuicStream stream = await connection.OpenOutboundStreamAsync(QuicStreamType.Bidirectional).Bounded();
        Task write = stream.WriteContentAsync(seed, length);
        await stream.AssertContentAsync(seed, length);
        await write;
    }

    /// <summary>One small round trip over a fresh stream: the connection lives and has credit.</summary>
    public static async Task AssertAliveAsync(this QuicConnection connection, QuicConnection peer)
    {
        (QuicStream local, QuicStream accepted) = await connection.OpenPairAsync(peer);
        await using (local)
        await using (accepted)
        {
            Task echo = accepted.EchoAsync();
            await local.WriteContentAsync(seed: 1, length: 1000);
            await local.AssertContentAsync(seed: 1, length: 1000);
            await echo.Bounded();
        }
    }
}
