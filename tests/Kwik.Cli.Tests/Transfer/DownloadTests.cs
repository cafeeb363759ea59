using System.Diagnostics;
using System.Security.Cryptography;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Testing;
using Kwik.Transfer;

namespace Kwik.Cli.Tests.Transfer;

/// <summary>Files of every size, and many of them.</summary>
public sealed class DownloadTests : IDisposable
{
    private const int Leaf = ContentHasher.DefaultLeafSize;
    private const int Block = 1024 * 1024;

    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    // How long the sparse file is: 5 GB take minutes of two processors and as much disk, so that they are for who asks.
    public static TheoryData<long> SparseLengths =>
        Environment.GetEnvironmentVariable("KWIK_LARGE_FILES") == "1" ? [5_000_000_000] : [200_000_000];

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(Leaf - 1)]
    [InlineData(Leaf)]
    [InlineData(Leaf + 1)]
    [InlineData(5 * Leaf)]
    [InlineData(3_000_001)]
    public async Task Download_FileOfAnySize_IsEqual(int length)
    {
        byte[] bytes = _directory.WriteRandom("served/a", length);
        await using PrimaryInProcess primary = await PrimaryInProcess.StartAsync(_directory["served"]);
        await using ClientSession session = await primary.ConnectAsync();

        DownloadResult result = await FileClient.DownloadAsync(session, "a", _directory["out"]).WithinAsync();

        Assert.Equal(bytes, File.ReadAllBytes(_directory["out"]));
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(bytes)), result.Sha256);
        Assert.Equal((length, 0, true), (result.Bytes, result.ResumedBytes, result.Verified));
        Assert.Equal(["out", "served", "served/a"], _directory.Entries);
    }

    [Theory]
    [MemberData(nameof(SparseLengths))]
    public async Task Download_SparseFile_IsEqual(long length)
    {
        Directory.CreateDirectory(_directory["served"]);
        WriteSparse(_directory["served/a"], length);
        await using PrimaryInProcess primary = await PrimaryInProcess.StartAsync(_directory["served"]);
        await using ClientSession session = await primary.ConnectAsync();
        long started = Stopwatch.GetTimestamp();

        DownloadResult result = await FileClient.DownloadAsync(session, "a", _directory["out"]).WithinAsync(TimeSpan.FromMinutes(9));

        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{length} bytes: {result.Elapsed.TotalSeconds:0.0} s to the last byte, {Stopwatch.GetElapsedTime(started).TotalSeconds:0.0} s in all");
        Assert.True(result.Verified);
        Assert.Equal(await HashAsync(_directory["served/a"]), result.Sha256);
        Assert.Equal(result.Sha256, await HashAsync(_directory["out"]));
    }

    [Fact]
    public async Task Download_TenThousandSmallFilesOverOneSession_AreAllEqual()
    {
        const int files = 10_000;
        Directory.CreateDirectory(_directory["served"]);
        for (int i = 0; i < files; i++)
        {
            File.WriteAllText(_directory[$"served/{i}"], $"file {i}");
        }

        Directory.CreateDirectory(_directory["out"]);
        await using PrimaryInProcess primary = await PrimaryInProcess.StartAsync(_directory["served"]);
        await using ClientSession session = await primary.ConnectAsync();
        long started = Stopwatch.GetTimestamp();
        using var late = new CancellationTokenSource(TimeSpan.FromMinutes(5));

        for (int i = 0; i < files; i++)
        {
            DownloadResult result = await FileClient.DownloadAsync(session, $"{i}", _directory[$"out/{i}"], null, late.Token);
            Assert.True(result.Verified);
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"{files} files: {Stopwatch.GetElapsedTime(started).TotalSeconds:0.0} s");
        Assert.All(Enumerable.Range(0, files), i => Assert.Equal($"file {i}", File.ReadAllText(_directory[$"out/{i}"])));
        Assert.Equal(files, Directory.GetFiles(_directory["out"]).Length);
    }

    [Fact]
    public async Task Progress_OfAFetch_GrowsToTheWholeAndEndsThere()
    {
        byte[] bytes = _directory.WriteRandom("served/a", 20 * Leaf);
        await using PrimaryInProcess primary = await PrimaryInProcess.StartAsync(_directory["served"]);
        await using ClientSession session = await primary.ConnectAsync();
        var seen = new List<DownloadProgress>();

        await FileClient.DownloadAsync(
            session, "a", _directory["out"], new() { ProgressInterval = TimeSpan.FromMilliseconds(10), Progress = new Seen(seen) }).WithinAsync();

        Assert.Equal(seen.Select(progress => progress.Bytes).Order(), seen.Select(progress => progress.Bytes));
        Assert.Equal(bytes.Length, seen[^1].Bytes);
        Assert.Equal(TimeSpan.Zero, seen[^1].Remaining);
        Assert.All(seen, progress => Assert.Equal((bytes.Length, 0), (progress.Length, progress.ResumedBytes)));
    }

    [Theory]
    [InlineData(0, 100, 0, 10, null)]
    [InlineData(40, 100, 40, 10, null)]
    [InlineData(50, 100, 0, 10, 10)]
    [InlineData(50, 100, 40, 10, 50)]
    [InlineData(100, 100, 40, 10, 0)]
    public void Remaining_OfAProgress_CountsWithWhatWasFetchedNow(long bytes, long length, long resumed, int seconds, int? remaining)
    {
        var progress = new DownloadProgress(bytes, length, resumed, TimeSpan.FromSeconds(seconds), []);

        Assert.Equal(remaining, progress.Remaining?.TotalSeconds);
    }

    /// <summary>Some bytes every 100 MB and at the end, and holes between them.</summary>
    private static void WriteSparse(string path, long length)
    {
        using var file = new FileStream(path, FileMode.CreateNew);
        file.SetLength(length);
        var block = new byte[Block];
        var random = new Random(5);
        for (long at = 12_345; at < length - Block; at += 100_000_000)
        {
            random.NextBytes(block);
            file.Position = at;
            file.Write(block);
        }

        file.Position = length - 1;
        file.WriteByte(77);
    }

    private static async Task<string> HashAsync(string path)
    {
        await using FileStream file = File.OpenRead(path);
        return Convert.ToHexStringLower(await SHA256.HashDataAsync(file));
    }

    private sealed class Seen(List<DownloadProgress> seen) : IProgress<DownloadProgress>
    {
        public void Report(DownloadProgress value) => seen.Add(value);
    }
}
