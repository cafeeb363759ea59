using System.Globalization;
using System.Text;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Real;

/// <summary>
/// An application that knows nothing of Kwik but <see cref="Stream"/>, over real QUIC: it works the same whether one server
/// writes or three, and sees no stream but its own.
/// </summary>
public sealed class StreamIsolationCompatibilityTests
{
    private const int Lines = 40_000;
    private static readonly byte[] Text = Encoding.ASCII.GetBytes(string.Concat(
        Enumerable.Range(0, Lines).Select(i => string.Create(CultureInfo.InvariantCulture, $"This is line {i}.\n"))));

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public async Task ExistingApplication_WithAnyNumberOfSecondaries_ReadsTheSameText(int secondaries)
    {
        await using var servers = await StartAsync(secondaries);
        await using ClientSession session = await servers.ConnectAsync();
        await using KwikStream stream = await session.AcceptStream().WithinAsync();
        Task<KwikStream> another = session.AcceptStream();

        Assert.Equal(Lines, await CountLinesAsync(stream).WithinAsync());

        // Three servers wrote, and one stream is all that there is to see.
        Assert.False(another.IsCompleted);
        Assert.Equal(secondaries, session.GetAllPaths().Count(path => path is { Id: > 0, BytesReceived: > 0 }));
        await session.DisposeAsync();
        await Assert.ThrowsAnyAsync<Kwik.Data.KwikException>(() => another.WithinAsync());
    }

    /// <summary>An application as there are many: text, line by line, from whatever stream.</summary>
    private static async Task<int> CountLinesAsync(Stream stream)
    {
        using var reader = new StreamReader(stream, leaveOpen: true);
        int count = 0;
        while (await reader.ReadLineAsync() is { } line)
        {
            Assert.Equal(string.Create(CultureInfo.InvariantCulture, $"This is line {count++}."), line);
        }

        return count;
    }

    private static Task<LoopbackServers> StartAsync(int count) => LoopbackServers.StartAsync(
        null,
        [.. Enumerable.Range(0, count).Select(_ => MemoryContent.Random(1, 1))],
        async (session, secondaries) =>
        {
            await using KwikStream stream = await session.OpenStreamSync();
            int parts = count + 1;
            for (int i = 0; i < count; i++)
            {
                int path = await session.AddPathAsync(secondaries[i]);
                await PushOrders.OrderAsync(session, stream, path, (i + 1) * Text.Length / parts, (i + 2) * Text.Length / parts);
            }

            await stream.WriteAsync(Text.AsMemory(0, Text.Length / parts));
            stream.CompleteWrites(Text.Length);
            await session.Closed;
        },
        session => PushOrders.ServeAsync(session, Text));
}
