using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Real;

/// <summary>A stream that is written to a file as it comes, over real QUIC and to a real file.</summary>
public sealed class PositionedSinkTests
{
    [Fact]
    public async Task OfferedContent_FromThreeServers_IsWholeInTheFile()
    {
        var content = MemoryContent.Random(1, 24 * 1024 * 1024);
        await using var servers = await LoopbackServers.StartAsync(content, [content.Replica(), content.Replica()]);
        await using ClientSession session = await servers.ConnectAsync();
        await using KwikStream stream = await session.AcceptStream().WithinAsync();
        string path = Path.GetTempFileName();
        try
        {
            using (var file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite))
            {
                Assert.Equal(content.Offer.Length, await stream.CopyToAsync(file).WithinAsync());
            }

            Assert.True(content.Is(await File.ReadAllBytesAsync(path)));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public async Task FileThatIsOnlyRead_FailsAndAbortsTheStream()
    {
        var content = MemoryContent.Random(1, 1000);
        await using var servers = await LoopbackServers.StartAsync(content, []);
        await using ClientSession session = await servers.ConnectAsync();
        await using KwikStream stream = await session.AcceptStream().WithinAsync();
        string path = Path.GetTempFileName();
        try
        {
            using var file = File.OpenHandle(path, FileMode.Open, FileAccess.Read);
            await Assert.ThrowsAsync<UnauthorizedAccessException>(() => stream.CopyToAsync(file).WithinAsync());
            await Assert.ThrowsAsync<Kwik.Data.KwikException>(() => stream.CopyToAsync(file).WithinAsync());
        }
        finally
        {
            File.Delete(path);
        }
    }
}
