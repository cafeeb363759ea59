using System.Security.Cryptography;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Real;

/// <summary>
/// A file that a primary and two secondaries push, over real QUIC and into a real file: it has the hash of the one that was
/// sent. A file that is offered, and so verified on the way, is in <see cref="PositionedSinkTests"/>.
/// </summary>
public sealed class FileTransferWithSecondaryStreamsTests
{
    private static readonly byte[] Content = PushOrders.RandomBytes((16 * 1024 * 1024) + 12345);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task FilePushedByThreeServers_HasTheHashOfTheOneThatWasSent(bool whereverItBelongs)
    {
        await using var servers = await LoopbackServers.StartAsync(
            null,
            [MemoryContent.Random(1, 1), MemoryContent.Random(1, 1)],
            async (session, secondaries) =>
            {
                await using KwikStream stream = await session.OpenStreamSync();
                int half = Content.Length / 2;
                await PushOrders.OrderAsync(session, stream, await session.AddPathAsync(secondaries[0]), half, Content.Length, 0, 2);
                await PushOrders.OrderAsync(session, stream, await session.AddPathAsync(secondaries[1]), half, Content.Length, 1, 2);
                await stream.WriteAsync(Content.AsMemory(0, half));
                stream.CompleteWrites(Content.Length);
                await session.Closed;
            },
            session => PushOrders.ServeAsync(session, Content));

        string path = Path.GetTempFileName();
        try
        {
            await using (ClientSession session = await servers.ConnectAsync())
            {
                await using KwikStream stream = await session.AcceptStream().WithinAsync();
                if (whereverItBelongs)
                {
                    using var file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite);
                    Assert.Equal(Content.Length, await stream.CopyToAsync(file).WithinAsync());
                }
                else
                {
                    await using FileStream file = File.OpenWrite(path);
                    await stream.CopyToAsync(file).WithinAsync();
                }
            }

            Assert.Equal(SHA256.HashData(Content), SHA256.HashData(await File.ReadAllBytesAsync(path)));
        }
        finally
        {
            File.Delete(path);
        }

        await servers.DisposeAsync();
        Assert.Equal(0, servers.Pool.Outstanding);
    }
}
