using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;
using Kwik.Transfer;

namespace Kwik.Cli.Tests.Transfer;

/// <summary>Requests as no client of ours writes them, on streams of the library.</summary>
public sealed class FileServerTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task Request_ForAFile_IsAnsweredWithItsContent()
    {
        byte[] bytes = _directory.WriteRandom("a", 300_000);
        await using PrimaryInProcess primary = await PrimaryInProcess.StartAsync(_directory.Path);
        await using ClientSession session = await primary.ConnectAsync();

        await using KwikStream stream = await session.OpenStreamSync().WithinAsync();
        await stream.WriteAsync(new byte[] { 0x0a, 1, (byte)'a' }).WithinAsync();
        stream.CompleteWrites();
        using var received = new MemoryStream();
        await stream.CopyToAsync(received).WithinAsync();

        Assert.Equal(bytes, received.ToArray());
    }

    [Theory]
    [InlineData(KwikError.NotFound, new byte[0])]
    [InlineData(KwikError.NotFound, new byte[] { 0x0a, 1, (byte)'b' })]
    [InlineData(KwikError.NotFound, new byte[] { 0x0a, 4, (byte)'.', (byte)'.', (byte)'/', (byte)'a' })]
    [InlineData(KwikError.MetadataProtocolViolation, new byte[] { 0x0a, 200, (byte)'b' })]
    [InlineData(KwikError.MetadataProtocolViolation, new byte[] { 0xff })]
    public async Task Request_ThatIsWrong_IsAbortedWithItsCode(KwikError expected, byte[] request)
    {
        _directory.WriteRandom("a", 10);
        await using PrimaryInProcess primary = await PrimaryInProcess.StartAsync(_directory.Path);
        await using ClientSession session = await primary.ConnectAsync();

        Assert.Equal(expected, await AskAsync(session, request, complete: true));
    }

    [Fact]
    public async Task Request_LongerThanItMayBe_IsAbortedBeforeItsEnd()
    {
        await using PrimaryInProcess primary = await PrimaryInProcess.StartAsync(_directory.Path);
        await using ClientSession session = await primary.ConnectAsync();

        Assert.Equal(KwikError.LimitExceeded, await AskAsync(session, new byte[FileServer.MaxRequestSize + 1], complete: false));
    }

    [Fact]
    public async Task Request_ThatIsNeverComplete_IsAbortedInTime()
    {
        await using PrimaryInProcess primary = await PrimaryInProcess.StartAsync(
            _directory.Path, options: new() { RequestTimeout = TimeSpan.FromMilliseconds(200) });
        await using ClientSession session = await primary.ConnectAsync();

        Assert.Equal(KwikError.Timeout, await AskAsync(session, [0x0a], complete: false));
    }

    [Fact]
    public async Task Request_BeyondTheirNumber_IsAborted()
    {
        await using PrimaryInProcess primary = await PrimaryInProcess.StartAsync(_directory.Path, options: new() { MaxRequests = 1 });
        await using ClientSession session = await primary.ConnectAsync();

        // Two that are not complete: one of them is too many.
        Task<KwikError>[] asked = [AskAsync(session, [0x0a], complete: false), AskAsync(session, [0x0a], complete: false)];
        Task<KwikError> first = await Task.WhenAny(asked).WithinAsync();

        Assert.Equal(KwikError.LimitExceeded, await first);
    }

    [Fact]
    public async Task Download_FileThatChangesMeanwhile_FailsAndTheNextFetchesTheNewOne()
    {
        byte[] bytes = _directory.WriteRandom("served/a", 8_000_000);
        int reads = 0;
        await using PrimaryInProcess primary = await PrimaryInProcess.StartAsync(_directory["served"], catalog => new DistortedContents(
            catalog,
            (content, offset, buffer, cancellationToken) =>
            {
                if (Interlocked.Increment(ref reads) == 50)
                {
                    bytes[^1] ^= 1;
                    File.WriteAllBytes(_directory["served/a"], bytes);
                    File.SetLastWriteTimeUtc(_directory["served/a"], DateTime.UnixEpoch);
                }

                return content.ReadAsync(offset, buffer, cancellationToken);
            }));
        await using ClientSession session = await primary.ConnectAsync();

        TransferException e = await Assert.ThrowsAsync<TransferException>(
            () => FileClient.DownloadAsync(session, "a", _directory["out"]).WithinAsync());

        Assert.Equal(TransferError.Verification, e.Error);
        Assert.False(File.Exists(_directory["out"]));
        await using ClientSession next = await primary.ConnectAsync();
        Assert.Equal(0, (await FileClient.DownloadAsync(next, "a", _directory["out"]).WithinAsync()).ResumedBytes);
        Assert.Equal(bytes, File.ReadAllBytes(_directory["out"]));
    }

    /// <summary>
    /// Sends a request as it is given; returns the code that the server aborted the stream with, which it may do at any
    /// moment from its opening on.
    /// </summary>
    private static async Task<KwikError> AskAsync(ClientSession session, byte[] request, bool complete)
    {
        KwikException e = await Assert.ThrowsAnyAsync<KwikException>(async () =>
        {
            await using KwikStream stream = await session.OpenStreamSync().WithinAsync();
            await stream.WriteAsync(request).WithinAsync();
            if (complete)
            {
                stream.CompleteWrites();
            }

            await stream.GetOfferAsync().WithinAsync();
        });
        Assert.Equal(KwikErrorSide.Remote, e.Side);
        return e.Code;
    }
}
