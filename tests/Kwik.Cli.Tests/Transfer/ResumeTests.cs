using System.Security.Cryptography;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Testing;
using Kwik.Transfer;

namespace Kwik.Cli.Tests.Transfer;

/// <summary>Fetches that end early, and the ones that go on from what they left.</summary>
public sealed class ResumeTests : IDisposable
{
    private const int Leaf = ContentHasher.DefaultLeafSize;
    private const int Length = (20 * Leaf) + 1;

    private readonly TemporaryDirectory _directory = new();
    private readonly byte[] _bytes;

    // The server reads no further than this.
    private long _gate = 10 * Leaf;

    public ResumeTests() => _bytes = _directory.WriteRandom("served/a", Length);

    private string Target => _directory["out"];

    private string Part => _directory["out.kwik-part"];

    private string Record => _directory["out.kwik-part.state"];

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task Download_CancelledThenResumed_FetchesOnlyWhatIsMissing()
    {
        await using PrimaryInProcess primary = await StartAsync();
        await InterruptAsync(primary);
        long kept = FileClient.GetResumableBytes(Target);
        Assert.InRange(kept, Leaf, 10 * Leaf);
        Assert.Equal(["out.kwik-part", "out.kwik-part.state", "served", "served/a"], _directory.Entries);

        var progress = new LastProgress();
        DownloadResult result = await FetchAsync(primary, new() { Progress = progress });

        AssertWhole(result, resumed: kept);
        Assert.Equal(0, result.DuplicateBytes);
        Assert.Equal(Length - kept, result.Sources.Sum(source => source.Bytes));
        Assert.Equal((Length, kept), (progress.Last!.Bytes, progress.Last.ResumedBytes));
        Assert.Equal(0, FileClient.GetResumableBytes(Target));
    }

    [Fact]
    public async Task Download_ResumedThreeTimes_IsWhole()
    {
        await using PrimaryInProcess primary = await StartAsync();
        foreach (int leaves in (int[])[3, 7, 13])
        {
            _gate = leaves * Leaf;
            await InterruptAsync(primary);
        }

        long kept = FileClient.GetResumableBytes(Target);
        Assert.InRange(kept, 8 * Leaf, 13 * Leaf);
        AssertWhole(await FetchAsync(primary), resumed: kept);
    }

    [Fact]
    public async Task Download_ServerLostThenAnother_GoesOn()
    {
        PrimaryInProcess lost = await StartAsync();
        await using ClientSession session = await lost.ConnectAsync();
        Task<DownloadResult> fetching = FileClient.DownloadAsync(session, "a", Target, Watched(out Task some));
        await some.WithinAsync();
        await lost.DisposeAsync();
        await Assert.ThrowsAsync<TransferException>(() => fetching.WithinAsync());
        long kept = FileClient.GetResumableBytes(Target);
        Assert.InRange(kept, Leaf, 10 * Leaf);

        await using PrimaryInProcess primary = await StartAsync();

        AssertWhole(await FetchAsync(primary), resumed: kept);
    }

    [Fact]
    public async Task Download_NothingWholeWhenCancelled_LeavesNothing()
    {
        _gate = Leaf - 1;
        await using PrimaryInProcess primary = await StartAsync();
        await using ClientSession session = await primary.ConnectAsync();
        using var cancel = new CancellationTokenSource(TimeSpan.FromSeconds(1));

        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => FileClient.DownloadAsync(session, "a", Target, null, cancel.Token).WithinAsync());

        Assert.Equal(["served", "served/a"], _directory.Entries);
    }

    [Fact]
    public async Task Download_WithoutResume_ReplacesWhatWasLeft()
    {
        await using PrimaryInProcess primary = await StartAsync();
        await InterruptAsync(primary);

        AssertWhole(await FetchAsync(primary, new() { Resume = false }), resumed: 0);
    }

    [Fact]
    public async Task Download_FileThatIsNotThere_LeavesWhatCanBeResumed()
    {
        await using PrimaryInProcess primary = await StartAsync();
        await InterruptAsync(primary);
        long kept = FileClient.GetResumableBytes(Target);
        await using ClientSession session = await primary.ConnectAsync();

        TransferException e = await Assert.ThrowsAsync<TransferException>(
            () => FileClient.DownloadAsync(session, "b", Target, new() { Resume = false }).WithinAsync());

        Assert.Equal(TransferError.NotFound, e.Error);
        AssertWhole(await FetchAsync(primary), resumed: kept);
    }

    [Fact]
    public async Task Download_FileChangedBetweenSessions_FetchesAllOfTheNewOne()
    {
        await using PrimaryInProcess primary = await StartAsync();
        await InterruptAsync(primary);
        _bytes[3] ^= 1;
        File.WriteAllBytes(_directory["served/a"], _bytes);
        File.SetLastWriteTimeUtc(_directory["served/a"], DateTime.UnixEpoch);

        AssertWhole(await FetchAsync(primary), resumed: 0);
    }

    [Fact]
    public async Task Download_FileThatBecameShorter_HasTheNewLength()
    {
        await using PrimaryInProcess primary = await StartAsync();
        await InterruptAsync(primary);
        File.WriteAllBytes(_directory["served/a"], _bytes[..1000]);

        DownloadResult result = await FetchAsync(primary);

        Assert.Equal((1000, 0), (result.Bytes, result.ResumedBytes));
        Assert.Equal(_bytes[..1000], File.ReadAllBytes(Target));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(9)]
    [InlineData(13)]
    [InlineData(17)]
    [InlineData(30)]
    [InlineData(60)]
    [InlineData(-1)]
    public async Task Download_DamagedRecord_FetchesEverything(int at)
    {
        await using PrimaryInProcess primary = await StartAsync();
        await InterruptAsync(primary);
        byte[] record = File.ReadAllBytes(Record);
        record[at < 0 ? ^-at : at] ^= 1;
        File.WriteAllBytes(Record, record);
        Assert.Equal(0, FileClient.GetResumableBytes(Target));

        AssertWhole(await FetchAsync(primary), resumed: 0);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(55)]
    [InlineData(90)]
    public async Task Download_RecordThatWasCutOff_FetchesEverything(int length)
    {
        await using PrimaryInProcess primary = await StartAsync();
        await InterruptAsync(primary);
        File.WriteAllBytes(Record, File.ReadAllBytes(Record)[..length]);

        AssertWhole(await FetchAsync(primary), resumed: 0);
    }

    [Fact]
    public async Task Download_PartWithoutRecordOrRecordWithoutPart_FetchesEverything()
    {
        await using PrimaryInProcess primary = await StartAsync();
        await InterruptAsync(primary);
        File.Delete(Record);
        AssertWhole(await FetchAsync(primary), resumed: 0);

        File.Delete(Target);
        _gate = 10 * Leaf;
        await InterruptAsync(primary);
        File.Delete(Part);
        AssertWhole(await FetchAsync(primary), resumed: 0);
    }

    [Fact]
    public async Task Download_PartThatWasCutOff_FetchesEverything()
    {
        await using PrimaryInProcess primary = await StartAsync();
        await InterruptAsync(primary);
        using (var part = new FileStream(Part, FileMode.Open))
        {
            part.SetLength(Length - 1);
        }

        AssertWhole(await FetchAsync(primary), resumed: 0);
    }

    [Fact]
    public async Task Download_PartChangedByOthers_IsNoticedAndEverythingIsFetched()
    {
        await using PrimaryInProcess primary = await StartAsync();
        await InterruptAsync(primary);
        DamagePart();

        AssertWhole(await FetchAsync(primary), resumed: 0);
    }

    [Fact]
    public async Task Download_WithoutVerifyExisting_TakesWhatIsThereAndSaysSo()
    {
        await using PrimaryInProcess primary = await StartAsync();
        await InterruptAsync(primary);
        DamagePart();

        DownloadResult result = await FetchAsync(primary, new() { VerifyExisting = false });

        Assert.False(result.Verified);
        _bytes[0] ^= 1;
        Assert.Equal(_bytes, File.ReadAllBytes(Target));
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(_bytes)), result.Sha256);
    }

    [Fact]
    public async Task Download_LeavesNewerThanTheRecord_AreFetchedAgain()
    {
        await using PrimaryInProcess primary = await StartAsync();
        _gate = 4 * Leaf;
        await InterruptAsync(primary);
        byte[] earlier = File.ReadAllBytes(Record);
        long kept = FileClient.GetResumableBytes(Target);
        _gate = 10 * Leaf;
        await InterruptAsync(primary);
        // As after a death of the process between the writing of the bytes and the writing of the record, and half a leaf lost.
        File.WriteAllBytes(Record, earlier);
        using (var part = new FileStream(Part, FileMode.Open))
        {
            part.Position = kept + 5;
            part.Write(new byte[Leaf / 2]);
        }

        AssertWhole(await FetchAsync(primary), resumed: kept);
    }

    [Fact]
    public async Task Download_SecondOfTheSameTarget_FailsAndDisturbsNothing()
    {
        await using PrimaryInProcess primary = await StartAsync();
        await using ClientSession session = await primary.ConnectAsync();
        Task<DownloadResult> first = FileClient.DownloadAsync(session, "a", Target, Watched(out Task some));
        await some.WithinAsync();

        TransferException e = await Assert.ThrowsAsync<TransferException>(
            () => FileClient.DownloadAsync(session, "a", Target).WithinAsync());

        Assert.Equal(TransferError.Disk, e.Error);
        Assert.Contains("another process", e.Message, StringComparison.Ordinal);
        _gate = long.MaxValue;
        AssertWhole(await first.WithinAsync(), resumed: 0);
    }

    [Fact]
    public async Task Download_TargetThatCameIntoBeingMeanwhile_IsLeftAloneAndThePartIsKept()
    {
        await using PrimaryInProcess primary = await StartAsync();
        await using ClientSession session = await primary.ConnectAsync();
        Task<DownloadResult> fetching = FileClient.DownloadAsync(session, "a", Target, Watched(out Task some));
        await some.WithinAsync();
        File.WriteAllText(Target, "somebody's");
        _gate = long.MaxValue;

        TransferException e = await Assert.ThrowsAsync<TransferException>(() => fetching.WithinAsync());

        Assert.Equal(TransferError.TargetExists, e.Error);
        Assert.Equal("somebody's", File.ReadAllText(Target));
        AssertWhole(await FetchAsync(primary, new() { Overwrite = true }), resumed: null);
    }

    [Fact]
    public async Task Download_PartThatIsNoRegularFile_IsRefused()
    {
        File.CreateSymbolicLink(Part, _directory["elsewhere"]);
        File.WriteAllText(_directory["elsewhere"], "somebody's");
        await using PrimaryInProcess primary = await StartAsync();

        TransferException e = await Assert.ThrowsAsync<TransferException>(() => FetchAsync(primary));

        Assert.Equal(TransferError.Disk, e.Error);
        Assert.Equal("somebody's", File.ReadAllText(_directory["elsewhere"]));
    }

    private void DamagePart()
    {
        using var part = new FileStream(Part, FileMode.Open);
        int first = part.ReadByte();
        part.Position = 0;
        part.WriteByte((byte)(first ^ 1));
    }

    private void AssertWhole(DownloadResult result, long? resumed)
    {
        Assert.Equal(_bytes, File.ReadAllBytes(Target));
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(_bytes)), result.Sha256);
        Assert.True(result.Verified);
        Assert.Equal(Length, result.Bytes);
        Assert.Equal(resumed ?? result.ResumedBytes, result.ResumedBytes);
        Assert.Equal(["out", "served", "served/a"], _directory.Entries);
    }

    /// <summary>A server that sends nothing behind the gate, while there is one.</summary>
    private Task<PrimaryInProcess> StartAsync() => PrimaryInProcess.StartAsync(_directory["served"], catalog => new DistortedContents(
        catalog,
        async (content, offset, buffer, cancellationToken) =>
        {
            using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(10), TimeProvider.System);
            while (offset + buffer.Length > Volatile.Read(ref _gate))
            {
                await timer.WaitForNextTickAsync(cancellationToken);
            }

            return await content.ReadAsync(offset, buffer, cancellationToken);
        }));

    /// <summary>Fetches until nothing more comes through the gate, or nearly; then gives up, and opens the gate.</summary>
    private async Task InterruptAsync(PrimaryInProcess primary)
    {
        long gate = _gate;
        await using ClientSession session = await primary.ConnectAsync();
        using var cancel = new CancellationTokenSource();
        Task<DownloadResult> fetching = FileClient.DownloadAsync(session, "a", Target, Watched(out Task some), cancel.Token);
        await some.WithinAsync();
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => fetching.WithinAsync());
        Volatile.Write(ref _gate, long.MaxValue);
        Assert.InRange(FileClient.GetResumableBytes(Target), Leaf, gate);
    }

    private async Task<DownloadResult> FetchAsync(PrimaryInProcess primary, DownloadOptions? options = null)
    {
        Volatile.Write(ref _gate, long.MaxValue);
        await using ClientSession session = await primary.ConnectAsync();
        return await FileClient.DownloadAsync(session, "a", Target, options).WithinAsync();
    }

    /// <summary>Completes its task when all but two leaves before the gate are written.</summary>
    private DownloadOptions Watched(out Task some)
    {
        var written = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        long wanted = _gate - (2 * Leaf);
        some = written.Task;
        return new()
        {
            ProgressInterval = TimeSpan.FromMilliseconds(10),
            Progress = new LastProgress(progress =>
            {
                if (progress.Bytes >= wanted)
                {
                    written.TrySetResult();
                }
            }),
        };
    }

    private sealed class LastProgress(Action<DownloadProgress>? seen = null) : IProgress<DownloadProgress>
    {
        public DownloadProgress? Last { get; private set; }

        public void Report(DownloadProgress value)
        {
            Last = value;
            seen?.Invoke(value);
        }
    }
}
