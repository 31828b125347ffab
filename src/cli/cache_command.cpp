// edm2 cache: the folder of downloaded files.
#include <algorithm>
#include <chrono>
#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "edm2/generate/network_source.h"
#include "edm2/generate/presets.h"
#include "edm2/io/download_cache.h"

namespace edm2::cli {
namespace {

struct CacheArguments {
  std::vector<std::string> words;  ///< patterns or sources
  bool json = false, dry_run = false;
};

std::vector<CachedFile> chosen_files(const CacheArguments& a, const CommandContext& context) {
  std::vector<CachedFile> files = list_cache(context.fetch, published_addresses());
  std::erase_if(files, [&](const CachedFile& file) {
    return !a.words.empty() && std::none_of(a.words.begin(), a.words.end(),
                                            [&](const auto& word) { return matches(file, word); });
  });
  return files;
}

/// "2026-01-31 12:00", local time
std::string date_text(std::filesystem::file_time_type time) {
  const auto system = std::chrono::file_clock::to_sys(time);
  const std::time_t seconds = std::chrono::system_clock::to_time_t(
      std::chrono::time_point_cast<std::chrono::system_clock::duration>(system));
  std::tm local = {};
  localtime_r(&seconds, &local);
  char text[64];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &local);
  return text;
}

/// What people know the file by.
std::string shown_name(const CachedFile& file) {
  return (file.url.empty() ? file.path.filename().string() : file.url) +
         (file.unfinished ? " (unfinished)" : "");
}

uint64_t total_size(const std::vector<CachedFile>& files) {
  uint64_t total = 0;
  for (const CachedFile& file : files) total += file.size;
  return total;
}

std::string count_text(size_t count) {
  return std::to_string(count) + (count == 1 ? " file" : " files");
}

void print_json(const std::vector<CachedFile>& files) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const CachedFile& file : files) {
    nlohmann::ordered_json entry = {{"path", file.path.string()},
                                    {"size", file.size},
                                    {"date", date_text(file.modified)},
                                    {"url", nullptr},
                                    {"unfinished", file.unfinished}};
    if (!file.url.empty()) entry["url"] = file.url;
    list.push_back(std::move(entry));
  }
  std::cout << list.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << "\n";
}

void list(const CacheArguments& a, CommandContext& context) {
  const auto files = chosen_files(a, context);
  if (a.json) return print_json(files);
  Table table({">SIZE", "DATE", "FILE"});
  for (const CachedFile& file : files)
    table.add({format_bytes(file.size), date_text(file.modified), shown_name(file)});
  if (!files.empty()) std::cout << table.text() << "\n";
  std::cout << count_text(files.size()) << ", " << format_bytes(total_size(files)) << ", in "
            << (cache_roots(context.fetch).front() / "downloads").string() << "\n";
}

void clear(const CacheArguments& a, CommandContext& context) {
  uint64_t size = 0;
  size_t count = 0;
  for (const CachedFile& file : chosen_files(a, context)) {
    if (!a.dry_run && !remove_cached(file)) {
      std::cout << "Left alone, it is being downloaded: " << shown_name(file) << "\n";
      continue;
    }
    std::cout << (a.dry_run ? "Would remove " : "Removed ") << shown_name(file) << "\n";
    size += file.size;
    ++count;
  }
  std::cout << count_text(count) << ", " << format_bytes(size) << "\n";
}

/// The networks of a preset, or the source itself.
std::vector<std::string> sources_of(const std::string& word) {
  for (const GeneratePreset& preset : generate_presets()) {
    if (preset.name != word) continue;
    std::vector<std::string> sources = {preset.net};
    if (preset.gnet) sources.push_back(*preset.gnet);
    return sources;
  }
  return {word};
}

void fetch(const CacheArguments& a, CommandContext& context) {
  for (const std::string& word : a.words)
    for (const std::string& source : sources_of(word)) {
      const auto path = find_network_file(source, context.fetch, *context.progress());
      if (!std::filesystem::exists(path))
        throw Error("'" + word + "' is neither a preset, nor an address, nor a file");
      std::cout << path.string() << std::endl;
    }
}

CLI::Option* add_words(CLI::App& command, const std::string& name, CacheArguments& a,
                       const std::string& description) {
  return command.add_option(name, a.words, description)->option_text(" ");
}

}  // namespace

void add_cache_command(CLI::App& app, CommandContext& context) {
  CLI::App& group = *app.add_subcommand("cache", "Downloaded files: list, fetch, clear");
  auto a = std::make_shared<CacheArguments>();

  CLI::App& list_command = *group.add_subcommand("list", "List downloaded files");
  add_words(list_command, "PATTERN", *a, "Address, part of a name or address, or one with * and ?");
  add_switch(list_command, "--json", a->json, "Print a JSON array");
  add_cache_option(list_command, context);
  list_command.callback([a, &context] { list(*a, context); });

  CLI::App& fetch_command =
      *group.add_subcommand("fetch", "Download files now, to use them with --offline later");
  add_words(fetch_command, "SOURCE", *a, "Addresses, or presets of edm2 generate")->required();
  add_fetch_options(fetch_command, context);
  add_progress_options(fetch_command, context);
  fetch_command.callback([a, &context] { fetch(*a, context); });

  CLI::App& clear_command = *group.add_subcommand(
      "clear", "Remove downloaded and unfinished files, all of them or those that match");
  add_words(clear_command, "PATTERN", *a,
            "Address, part of a name or address, or one with * and ?");
  add_switch(clear_command, "-n,--dry-run", a->dry_run, "Only say what would be removed");
  add_cache_option(clear_command, context);
  clear_command.callback([a, &context] { clear(*a, context); });
}

}  // namespace edm2::cli
