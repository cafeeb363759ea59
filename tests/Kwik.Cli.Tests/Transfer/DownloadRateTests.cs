using System.Security.Cryptography;
using Kwik.Sessions;
using Kwik.Testing;
using Kwik.Transfer;

namespace Kwik.Cli.Tests.Transfer;

/// <summary>Fetches that take no more than a rate, and fetches to a stream.</summary>
public sealed class DownloadRateTests : IDisposable
{
    private const int Window = 1 << 20;

    private readonly TemporaryDirectory _directory = new();
    private long _served;

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Download_LimitedRate_ServersSendNoMoreThanAWindowAhead(bool toFile)
    {
        const int Length = 6_000_001;
        byte[] bytes = _directory.WriteRandom("served/a", Length);
        await using PrimaryInProcess primary = await PrimaryInProcess.StartAsync(
            _directory["served"], catalog => new DistortedContents(catalog, async (content, offset, buffer, cancellationToken) =>
            {
                int read = await content.ReadAsync(offset, buffer, cancellationToken);
                Interlocked.Add(ref _served, read);
                return read;
            }));
        await using ClientSession session = await primary.ConnectAsync(new() { MaxPendingBytes = Window });
        long ahead = 0;
        long before = 0;
        var options = new DownloadOptions
        {
            MaxBytesPerSecond = 4_000_000,
            // What was served when the report before was made: reading goes on between this one and here.
            Progress = new Observer(progress =>
            {
                ahead = Math.Max(ahead, before - progress.Bytes);
                before = Interlocked.Read(ref _served);
            }),
            ProgressInterval = TimeSpan.FromMilliseconds(10),
        };
        using var memory = new MemoryStream();

        DownloadResult result = toFile
            ? await FileClient.DownloadAsync(session, "a", _directory["out"], options).WithinAsync()
            : await FileClient.DownloadAsync(session, "a", memory, options).WithinAsync();

        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(bytes)), result.Sha256);
        Assert.Equal(bytes, toFile ? File.ReadAllBytes(_directory["out"]) : memory.ToArray());
        Assert.InRange(result.Elapsed.TotalSeconds, (Length / 4e6) - 0.1 - (65_536 / 4e6), 20);
        // The piece that waits for the rate is neither ahead nor written.
        Assert.InRange(ahead, 1, Window + 65_536);
        Assert.True(result.Verified);
    }

    [Theory]
    [InlineData(1023)]
    [InlineData((1L << 40) + 1)]
    public void Options_RateOutOfRange_AreRefused(long rate) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new DownloadOptions { MaxBytesPerSecond = rate }.Validate());

    [Fact]
    public async Task Download_CancelledWhileItWaitsForTheRate_EndsAtOnce()
    {
        _directory.WriteRandom("served/a", 1_000_000);
        await using PrimaryInProcess primary = await PrimaryInProcess.StartAsync(_directory["served"]);
        await using ClientSession session = await primary.ConnectAsync();
        using var stop = new CancellationTokenSource();
        using var memory = new MemoryStream();
        // The first piece takes 64 s.
        var options = new DownloadOptions { MaxBytesPerSecond = 1024, Progress = new Observer(_ => stop.Cancel()) };

        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => FileClient.DownloadAsync(session, "a", memory, options, stop.Token).WithinAsync());

        Assert.Equal(0, memory.Length);
    }

    [Fact]
    public async Task Download_ToAStreamThatFails_IsDisk()
    {
        _directory.WriteRandom("served/a", 1_000_000);
        await using PrimaryInProcess primary = await PrimaryInProcess.StartAsync(_directory["served"]);
        await using ClientSession session = await primary.ConnectAsync();
        await using var full = new MemoryFile();

        TransferException e = await Assert.ThrowsAsync<TransferException>(
            () => FileClient.DownloadAsync(session, "a", full).WithinAsync());

        Assert.Equal(TransferError.Disk, e.Error);
        Assert.Contains("no room", e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3_000_001)]
    public async Task Download_ToAStream_IsEqual(int length)
    {
        byte[] bytes = _directory.WriteRandom("served/a", length);
        await using PrimaryInProcess primary = await PrimaryInProcess.StartAsync(_directory["served"]);
        await using ClientSession session = await primary.ConnectAsync();
        using var memory = new MemoryStream();

        DownloadResult result = await FileClient.DownloadAsync(session, "a", memory).WithinAsync();

        Assert.Equal(bytes, memory.ToArray());
        Assert.Equal((length, 0, true), (result.Bytes, result.ResumedBytes, result.Verified));
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(bytes)), result.Sha256);
    }

    private sealed class Observer(Action<DownloadProgress> observe) : IProgress<DownloadProgress>
    {
        public void Report(DownloadProgress value) => observe(value);
    }

    private sealed class MemoryFile : MemoryStream
    {
        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
            ValueTask.FromException(new IOException("no room"));
    }
}
